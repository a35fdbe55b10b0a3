"""The table of all pairs of columns, tile by tile: its sum and gradient.

The table is cut into square tiles. One tile is alive at a time, and two
blocks of columns meet once: a product for their cosines, and two products
that carry the slopes to both of them. What a pair costs in energy is the
business of `potentials`; here it is a function of the cosines.
"""

from keras import ops

from keras_mhe import _backend
from keras_mhe._typing import Tensor
from keras_mhe.ops._pairs.columns import Columns, cosines_of, own_scales
from keras_mhe.ops._pairs.neurons import tangent
from keras_mhe.ops._pairs.potentials import PairEnergy
from keras_mhe.ops._pairs.tiles import from_blocks, to_blocks


def table_of_all_pairs(
    columns: Columns,
    pair_energy: PairEnergy,
    tile: int | None,
    own_slopes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Every column against every other one.

    Args:
        columns: With no axis in front, or that of the groups for one table
            per group.
        pair_energy: The energy of a pair.
        tile: Columns in a block, or `None` for all at once.
        own_slopes: Multiples of each column to add to its gradient, shape
            `(size,)` or `(groups, size)`.

    Returns:
        Sum over unordered pairs that count, and the `tangent` of its gradient.
    """
    if tile is None:
        return _whole_table(columns, pair_energy, own_slopes)
    blocks = to_blocks(columns, tile)
    num_blocks = ops.shape(blocks.vectors)[0]
    has_scales = not columns.are_short

    def within(row: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        total, gradients, scales = carry
        block = blocks.each(lambda part: part[row])
        more, by_block, own_scales = _within_block(block, pair_energy)
        if has_scales:
            scales = _backend.add_at(scales, row, own_scales)
        return total + more, _backend.add_at(gradients, row, by_block), scales

    zero = ops.zeros((), dtype=columns.vectors.dtype)
    total, gradients, scales = ops.fori_loop(
        0,
        num_blocks,
        within,
        (
            zero,
            _backend.new_sums(blocks.vectors),
            _backend.new_sums(blocks.squared_norms),
        ),
    )
    scales = _backend.stack(scales)

    def block_row(row: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        first = blocks.each(lambda part: part[row])

        def meet(
            column: Tensor, carry: tuple[Tensor, ...]
        ) -> tuple[Tensor, ...]:
            row_total, by_first, gradients = carry
            second = blocks.each(lambda part: part[column])
            cosines = cosines_of(first.vectors, second.vectors)
            if has_scales:
                cosines = _backend.scale(cosines, scales[row], scales[column])
            values, slopes = pair_energy(cosines)
            return (
                row_total + table_sum(values, first.counts, second.counts),
                by_first
                + _backend.matmul(
                    second.vectors, slopes, transpose_second=True
                ),
                _backend.add_at(
                    gradients, column, _backend.matmul(first.vectors, slopes)
                ),
            )

        total, gradients = carry
        row_total, by_first, gradients = ops.fori_loop(
            row + 1,
            num_blocks,
            meet,
            (zero, ops.zeros_like(first.vectors), gradients),
        )
        return total + row_total, _backend.add_at(gradients, row, by_first)

    total, gradients = ops.fori_loop(
        0, num_blocks, block_row, (total, gradients)
    )
    gradient = from_blocks(_backend.stack(gradients), columns.size)
    gradient = tangent(columns.vectors, gradient)
    if own_slopes is not None:
        gradient = gradient + own_slopes[..., None, :] * columns.vectors
    return total, gradient


def _whole_table(
    columns: Columns, pair_energy: PairEnergy, own_slopes: Tensor | None
) -> tuple[Tensor, Tensor]:
    """All columns at once; what concerns one column is on the diagonal."""
    size = columns.size
    columns = columns.whole()
    cosines, values, slopes, _ = _square_table(columns, pair_energy)
    # Takes away what each gradient has along its column. Sums of columns, as
    # in the product below: rounding leaves the table not quite symmetric.
    diagonal = -ops.sum(cosines * slopes, axis=-2)
    if own_slopes is not None:
        diagonal = diagonal + _backend.padded(own_slopes, columns.size - size)
    slopes = _backend.set_diagonal(slopes, diagonal)
    gradient = _backend.matmul(columns.vectors, slopes)
    total = 0.5 * table_sum(values, columns.counts, columns.counts)
    return total, gradient[..., :size]


def _within_block(
    block: Columns, pair_energy: PairEnergy
) -> tuple[Tensor, Tensor, Tensor | None]:
    """A block against itself: sum of unordered pairs, gradient and scales."""
    _, values, slopes, scales = _square_table(block, pair_energy)
    slopes = _backend.set_diagonal(slopes, 0.0)
    total = 0.5 * table_sum(values, block.counts, block.counts)
    # The table of slopes is symmetric.
    return total, _backend.matmul(block.vectors, slopes), scales


def _square_table(
    block: Columns, pair_energy: PairEnergy
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Cosines and values with a diagonal of zeros, slopes, and scales."""
    cosines = cosines_of(block.vectors, block.vectors)
    scales = None
    if not block.are_short:
        scales = own_scales(cosines, block)
        cosines = _backend.scale(cosines, scales, scales)
    # The diagonal is made harmless before the potential.
    cosines = _backend.set_diagonal(cosines, 0.0)
    values, slopes = pair_energy(cosines)
    return cosines, _backend.set_diagonal(values, 0.0), slopes, scales


def table_sum(values: Tensor, row_counts: Tensor, counts: Tensor) -> Tensor:
    """Sum of the entries whose row and column count.

    Rows first: one long sum of like numbers drifts.
    """
    by_row = ops.sum(values * counts[..., None, :], axis=-1)
    return ops.sum(by_row * row_counts)

"""Tables of pairs of columns, tile by tile: sums and gradients.

The table is cut into square tiles. One tile is alive at a time, and two
blocks of columns meet once: a product for their cosines, and two products
that carry the slopes to both of them. What a pair costs in energy is the
business of `_potentials`; here it is a function of the cosines.

Cosines of long columns are divided by what the same product makes of the
columns' own lengths. A backend adds up 10,000 products with an error of some
hundred epsilons, but the same one in each entry: so equal columns have a
cosine of 1. For that the tables have whole multiples of 16 rows and columns,
which all go one way through the processor.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe.ops._pairs.neurons import tangent

#: Maps cosines to the values of the pairs' energy and to its slopes.
PairEnergy = Callable[[Tensor], tuple[Tensor, Tensor]]

#: Tables of long columns have a multiple of this many rows and columns.
_MULTIPLE = 16

#: Edge of a tile on a CPU: its table and temporaries stay in the cache.
_CPU_TILE = 512

#: A table of up to this many columns is one tile on a CPU. Both numbers are
#: measured, see the page on speed.
_CPU_DENSE = 768

#: The same on accelerators, where a tile must keep thousands of cores busy.
#: Chosen by the memory of a tile, 64 MiB; not measured.
_ACCELERATOR_TILE = 4096
_ACCELERATOR_DENSE = 8192

#: `"auto"` never takes narrower tiles, however many rows or tables they have.
_SMALLEST_AUTO = 8


class Columns(NamedTuple):
    """Directions in a table, with any axes in front.

    Attributes:
        vectors: Shape `(..., dim, size)`.
        squared_norms: Shape `(..., size)`.
        counts: 1 for a column whose pairs count, or 0, shape `(..., size)`.
    """

    vectors: Tensor
    squared_norms: Tensor
    counts: Tensor

    def each(self, function: Callable[[Tensor], Tensor]) -> "Columns":
        """Returns columns of which each part is a function of these."""
        return Columns(*map(function, self))

    @property
    def size(self) -> Tensor:
        """Number of columns; a scalar tensor where it is not known."""
        return ops.shape(self.vectors)[-1]

    @property
    def are_short(self) -> bool:
        """Whether their products need no care."""
        dim = ops.shape(self.vectors)[-2]
        return isinstance(dim, int) and dim <= _numerics.SHORT

    def padded(self, size: int) -> "Columns":
        """Returns more columns, of which the last are zeros without pairs."""
        padding = size - self.size
        if padding == 0:
            return self
        return self.each(lambda part: _backend.padded(part, padding))

    def whole(self) -> "Columns":
        """Returns as many columns as a table of them needs."""
        if self.are_short or not isinstance(self.size, int):
            return self
        return self.padded(-(-self.size // _MULTIPLE) * _MULTIPLE)


def choose_tile(
    block_size: int | str,
    num_columns: Tensor,
    *,
    num_tables: int = 1,
    num_rows: Tensor | None = None,
    dim: Tensor = 1,
    on_cpu: bool = True,
) -> int | None:
    """Returns the number of columns in a block, or `None` for all at once.

    Args:
        block_size: What the user asked for: columns in a block, or `"auto"`.
        num_columns: Columns of a table.
        num_tables: Tables, of each of which one tile is alive at once.
        num_rows: Rows of a table that is not square; one that is not known
            counts as square.
        dim: Entries of a column; long ones have tiles of multiples of 16.
        on_cpu: Whether the tiles are computed by a CPU.

    Returns:
        An int that divides the columns into blocks of nearly equal size.
        `None` if one block holds all of them, or if their number is not
        known.
    """
    if not isinstance(num_columns, int):
        return None
    if block_size == "auto":
        edge = _CPU_TILE if on_cpu else _ACCELERATOR_TILE
        dense = _CPU_DENSE if on_cpu else _ACCELERATOR_DENSE
        is_square = not isinstance(num_rows, int)
        rows = num_rows if isinstance(num_rows, int) else num_columns
        if num_tables * rows * num_columns <= dense**2:
            return None
        entries = edge**2 // num_tables
        block_size = math.isqrt(entries) if is_square else entries // rows
        block_size = max(block_size, _SMALLEST_AUTO)
    block_size = int(block_size)
    if block_size >= num_columns:
        return None
    num_blocks = -(-num_columns // block_size)
    tile = -(-num_columns // num_blocks)
    if not (isinstance(dim, int) and dim <= _numerics.SHORT):
        tile = -(-tile // _MULTIPLE) * _MULTIPLE
    return tile if tile < num_columns else None


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


def table_of_anchors(
    rows: Columns,
    anchors: Tensor,
    columns: Columns,
    indices: Tensor,
    group_size: Tensor,
    pair_energy: PairEnergy,
    tile: int | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Some columns against all others of their groups.

    Args:
        rows: The anchors' columns.
        anchors: Their indices among all columns, shape `(m,)`.
        columns: Columns of dimension `dim`, from which no axis is in front.
        indices: Their indices among all columns, shape `(size,)`.
        group_size: Columns in a group; the groups are contiguous.
        pair_energy: The energy of a pair.
        tile: Columns in a block, or `None` for all at once.

    Returns:
        Sum over the table, and its gradients by `rows.vectors` and by
        `columns.vectors`, without the `tangent`.
    """
    num_rows, size = rows.size, columns.size
    rows = rows.whole()
    # Padding is in no group.
    anchors = _padded_indices(anchors, rows.size, -2 * group_size)
    same_rows = None
    if not rows.are_short:
        own = own_scales(cosines_of(rows.vectors, rows.vectors), rows)
        # A column that is nearly equal has nearly the same.
        same_rows = ops.square(own)

    def meet(block: Columns, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        same_group = ops.equal(
            (anchors // group_size)[:, None], (index // group_size)[None, :]
        )
        differ = ops.not_equal(anchors[:, None], index[None, :])
        count = rows.counts[:, None] * block.counts[None, :] > 0.0
        meets = ops.logical_and(ops.logical_and(same_group, differ), count)
        cosines = cosines_of(rows.vectors, block.vectors)
        if same_rows is not None:
            cosines = _backend.scale(cosines, same_rows, None)
        # Entries that do not count are made harmless before the potential.
        values, slopes = pair_energy(ops.where(meets, cosines, 0.0))
        slopes = ops.where(meets, slopes, 0.0)
        return (
            _total(ops.where(meets, values, 0.0)),
            _backend.matmul(block.vectors, slopes, transpose_second=True),
            _backend.matmul(rows.vectors, slopes),
        )

    if tile is None:
        block = columns.whole()
        index = _padded_indices(indices, block.size, -group_size)
        total, by_row, gradient = meet(block, index)
        return total, by_row[:, :num_rows], gradient[:, :size]
    blocks = to_blocks(columns, tile)
    num_blocks = ops.shape(blocks.vectors)[0]
    block_indices = ops.reshape(
        _padded_indices(indices, num_blocks * tile, -group_size), (-1, tile)
    )

    def block_column(
        column: Tensor, carry: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        total, by_row, gradients = carry
        more, more_by_row, by_block = meet(
            blocks.each(lambda part: part[column]), block_indices[column]
        )
        return (
            total + more,
            by_row + more_by_row,
            _backend.add_at(gradients, column, by_block),
        )

    zero = ops.zeros((), dtype=rows.vectors.dtype)
    total, by_row, gradients = ops.fori_loop(
        0,
        num_blocks,
        block_column,
        (
            zero,
            ops.zeros_like(rows.vectors),
            _backend.new_sums(blocks.vectors),
        ),
    )
    gradient = from_blocks(_backend.stack(gradients), size)
    return total, by_row[:, :num_rows], gradient


def _padded_indices(indices: Tensor, size: Tensor, padding: Tensor) -> Tensor:
    """Returns indices with others at the end, `size` of them in all."""
    more = _backend.indices(size - ops.shape(indices)[0])
    return ops.concatenate([indices, ops.zeros_like(more) + padding])


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


def cosines_of(first: Tensor, second: Tensor) -> Tensor:
    """Returns the products of each column with each."""
    return _backend.matmul(first, second, transpose_first=True)


def own_scales(products: Tensor, columns: Columns) -> Tensor:
    """Returns factors that give columns their lengths in a product.

    Args:
        products: Of each column with each.
        columns: The columns.
    """
    squares = ops.diagonal(products, axis1=-2, axis2=-1)
    # What is added matters for short and empty columns only.
    ratio = (columns.squared_norms + 1e-6) / (squares + 1e-6)
    return ratio**0.5


def table_sum(values: Tensor, row_counts: Tensor, counts: Tensor) -> Tensor:
    """Sum of the entries whose row and column count.

    Rows first: one long sum of like numbers drifts.
    """
    by_row = ops.sum(values * counts[..., None, :], axis=-1)
    return ops.sum(by_row * row_counts)


def _total(values: Tensor) -> Tensor:
    """Sum of a table, rows first.

    A bound that no row reaches keeps the two sums apart, which XLA would make
    one of.
    """
    return ops.sum(_backend.at_least(ops.sum(values, axis=-1), -1e30))


def to_blocks(columns: Columns, tile: int) -> Columns:
    """Cuts columns into blocks, stacked along a new first axis.

    The last block is padded with columns of zeros that do not count.
    """
    num_blocks = -(-columns.size // tile)

    def cut(part: Tensor) -> Tensor:
        *leading, _ = ops.shape(part)
        stack = ops.reshape(part, (*leading, num_blocks, tile))
        return ops.moveaxis(stack, -2, 0)

    return columns.padded(num_blocks * tile).each(cut)


def from_blocks(blocks: Tensor, size: int) -> Tensor:
    """Returns the columns of blocks side by side, without padding."""
    num_blocks, *leading, tile = ops.shape(blocks)
    stack = ops.moveaxis(blocks, 0, -2)
    return ops.reshape(stack, (*leading, num_blocks * tile))[..., :size]

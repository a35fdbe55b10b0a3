"""Tables of pairs of columns, tile by tile: sums and gradients.

The table is cut into square tiles. One tile is alive at a time, and two
blocks of columns meet once: a product for their cosines, and two products
that carry the slopes to both of them. What a pair costs in energy is the
business of `_potentials`; here it is a function of the cosines.
"""

import math
from collections.abc import Callable

from keras import ops

from keras_mhe import _backend
from keras_mhe._typing import Tensor
from keras_mhe.functional._neurons import tangent

#: Maps cosines to the values of the pairs' energy and to its slopes.
PairEnergy = Callable[[Tensor], tuple[Tensor, Tensor]]

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

#: Energies of pairs are at most 1e15.
_BELOW_ALL_SUMS = -1e30


def choose_tile(
    block_size: int | str,
    num_columns: Tensor,
    *,
    num_tables: int = 1,
    num_rows: Tensor | None = None,
    on_cpu: bool = True,
) -> int | None:
    """Returns the number of columns in a block, or `None` for all at once.

    Args:
        block_size: What the user asked for: columns in a block, or `"auto"`.
        num_columns: Columns of a table.
        num_tables: Tables, of each of which one tile is alive at once.
        num_rows: Rows of a table that is not square; one that is not known
            counts as square.
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
    return -(-num_columns // num_blocks)


def table_of_all_pairs(
    vectors: Tensor,
    pair_energy: PairEnergy,
    tile: int | None,
    own_slopes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Every column against every other one.

    Args:
        vectors: Shape `(dim, size)`, or `(groups, dim, size)` for one table
            per group.
        pair_energy: The energy of a pair.
        tile: Columns in a block, or `None` for all at once.
        own_slopes: Multiples of each column to add to its gradient, shape
            `(size,)` or `(groups, size)`.

    Returns:
        Sum over unordered pairs, and the `tangent` of its gradient.
    """
    if tile is None:
        return _whole_table(vectors, pair_energy, own_slopes)
    blocks, is_column = to_blocks(vectors, tile)
    num_blocks = ops.shape(blocks)[0]

    def block_row(row: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        total, gradients = carry
        first, is_first = blocks[row], at(is_column, row)
        row_total, by_first = _within_block(first, is_first, pair_energy)

        def meet(
            column: Tensor, carry: tuple[Tensor, ...]
        ) -> tuple[Tensor, ...]:
            row_total, by_first, gradients = carry
            second = blocks[column]
            values, slopes = pair_energy(cosines_of(first, second))
            more = table_sum(values, is_first, at(is_column, column))
            by_second = _backend.matmul(first, slopes)
            return (
                row_total + more,
                by_first
                + _backend.matmul(second, slopes, transpose_second=True),
                _backend.add_at(gradients, column, by_second),
            )

        row_total, by_first, gradients = ops.fori_loop(
            row + 1, num_blocks, meet, (row_total, by_first, gradients)
        )
        return total + row_total, _backend.add_at(gradients, row, by_first)

    zero = ops.zeros((), dtype=vectors.dtype)
    total, gradients = ops.fori_loop(
        0, num_blocks, block_row, (zero, _backend.new_sums(blocks))
    )
    gradient = from_blocks(_backend.stack(gradients), ops.shape(vectors)[-1])
    gradient = tangent(vectors, gradient)
    if own_slopes is not None:
        gradient = gradient + own_slopes[..., None, :] * vectors
    return total, gradient


def table_of_anchors(
    rows: Tensor,
    anchors: Tensor,
    vectors: Tensor,
    indices: Tensor,
    group_size: Tensor,
    pair_energy: PairEnergy,
    tile: int | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Some columns, the anchors, against others of their group.

    Args:
        rows: The anchors' columns, shape `(dim, m)`.
        anchors: Their indices, shape `(m,)`.
        vectors: The columns to meet, shape `(dim, size)`.
        indices: Their indices, shape `(size,)`, all >= 0. An anchor does not
            meet the column with its own index.
        group_size: Columns in a group.
        pair_energy: The energy of a pair.
        tile: Columns in a block, or `None` for all at once.

    Returns:
        Sum over the table, its gradient by `rows`, and that by `vectors`.
    """
    groups_of_rows = (anchors // group_size)[:, None]

    def meet(block: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        same_group = ops.equal(groups_of_rows, (index // group_size)[None, :])
        differ = ops.not_equal(anchors[:, None], index[None, :])
        meets = ops.logical_and(same_group, differ)
        # Entries that do not count are made harmless before the potential.
        cosines = ops.where(meets, cosines_of(rows, block), 0.0)
        values, slopes = pair_energy(cosines)
        slopes = ops.where(meets, slopes, 0.0)
        return (
            _total(ops.where(meets, values, 0.0)),
            _backend.matmul(block, slopes, transpose_second=True),
            _backend.matmul(rows, slopes),
        )

    if tile is None:
        return meet(vectors, indices)
    size = ops.shape(vectors)[1]
    blocks, _ = to_blocks(vectors, tile)
    # Padding is in no group.
    padding = _backend.indices(ops.shape(blocks)[0] * tile - size)
    blocks_of_indices = ops.reshape(
        ops.concatenate([indices, ops.zeros_like(padding) - group_size]),
        (-1, tile),
    )

    def block_column(
        column: Tensor, carry: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        total, by_row, gradients = carry
        more, more_by_row, by_block = meet(
            blocks[column], blocks_of_indices[column]
        )
        return (
            total + more,
            by_row + more_by_row,
            _backend.add_at(gradients, column, by_block),
        )

    zero = ops.zeros((), dtype=vectors.dtype)
    total, by_row, gradients = ops.fori_loop(
        0,
        ops.shape(blocks)[0],
        block_column,
        (zero, ops.zeros_like(rows), _backend.new_sums(blocks)),
    )
    return total, by_row, from_blocks(_backend.stack(gradients), size)


def _whole_table(
    vectors: Tensor, pair_energy: PairEnergy, own_slopes: Tensor | None
) -> tuple[Tensor, Tensor]:
    """All columns at once; what concerns one column is on the diagonal."""
    cosines, values, slopes = _square_table(vectors, pair_energy)
    # Takes away what each gradient has along its column.
    diagonal = -ops.sum(cosines * slopes, axis=-1)
    if own_slopes is not None:
        diagonal = diagonal + own_slopes
    slopes = _backend.set_diagonal(slopes, diagonal)
    return 0.5 * _total(values), _backend.matmul(vectors, slopes)


def _within_block(
    block: Tensor, is_column: Tensor | None, pair_energy: PairEnergy
) -> tuple[Tensor, Tensor]:
    """A block against itself: sum over unordered pairs, and gradient."""
    _, values, slopes = _square_table(block, pair_energy)
    slopes = _backend.set_diagonal(slopes, 0.0)
    total = 0.5 * table_sum(values, is_column, is_column)
    # The table of slopes is symmetric.
    return total, _backend.matmul(block, slopes)


def _square_table(
    block: Tensor, pair_energy: PairEnergy
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines and values with a diagonal of zeros, and slopes."""
    # The diagonal is made harmless before the potential.
    cosines = _backend.set_diagonal(cosines_of(block, block), 0.0)
    values, slopes = pair_energy(cosines)
    return cosines, _backend.set_diagonal(values, 0.0), slopes


def cosines_of(first: Tensor, second: Tensor) -> Tensor:
    """Returns the products of each column with each."""
    return _backend.matmul(first, second, transpose_first=True)


def table_sum(
    values: Tensor, is_row: Tensor | None, is_column: Tensor | None
) -> Tensor:
    """Returns the sum without the rows and columns that are padding."""
    if is_row is None:
        return _total(values)
    return ops.sum(ops.sum(values * is_column, axis=-1) * is_row)


def _total(values: Tensor) -> Tensor:
    """Sum of a table, rows first: one long sum of like numbers drifts.

    A bound that no row reaches keeps the two sums apart, which XLA would make
    one of.
    """
    rows = _backend.at_least(ops.sum(values, axis=-1), _BELOW_ALL_SUMS)
    return ops.sum(rows)


def to_blocks(vectors: Tensor, tile: int) -> tuple[Tensor, Tensor | None]:
    """Cuts the last axis into blocks, stacked along a new first axis.

    The last block is padded with zeros. They are orthogonal to everything,
    so their slopes carry nothing to the other columns.

    Returns:
        The blocks, and a tensor `(num_blocks, tile)` that is 1 for a column
        and 0 for padding, or `None` if there is no padding.
    """
    *leading, size = ops.shape(vectors)
    num_blocks = -(-size // tile)
    padding = num_blocks * tile - size
    is_column = None
    if padding:
        widths = [(0, 0)] * len(leading) + [(0, padding)]
        vectors = ops.pad(vectors, widths)
        index = ops.reshape(ops.arange(num_blocks * tile), (num_blocks, tile))
        is_column = ops.cast(index < size, vectors.dtype)
    stack = ops.reshape(vectors, (*leading, num_blocks, tile))
    return ops.moveaxis(stack, -2, 0), is_column


def from_blocks(blocks: Tensor, size: int) -> Tensor:
    """Undoes `to_blocks`."""
    num_blocks, *leading, tile = ops.shape(blocks)
    stack = ops.moveaxis(blocks, 0, -2)
    return ops.reshape(stack, (*leading, num_blocks * tile))[..., :size]


def at(is_column: Tensor | None, index: Tensor) -> Tensor | None:
    """Returns the padding of one block."""
    return None if is_column is None else is_column[index]

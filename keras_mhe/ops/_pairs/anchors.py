"""The table of anchors against all columns, tile by tile: sum and gradients.

A tile has all anchors and one block of columns. One is alive at a time.
"""

from keras import ops

from keras_mhe import _backend
from keras_mhe._typing import Tensor
from keras_mhe.ops._pairs.columns import Columns, cosines_of, own_scales
from keras_mhe.ops._pairs.potentials import PairEnergy
from keras_mhe.ops._pairs.tiles import from_blocks, to_blocks


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


def _total(values: Tensor) -> Tensor:
    """Sum of a table, rows first.

    A bound that no row reaches keeps the two sums apart, which XLA would make
    one of.
    """
    return ops.sum(_backend.at_least(ops.sum(values, axis=-1), -1e30))

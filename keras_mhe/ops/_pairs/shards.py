"""Tables of pairs of columns that are spread over several devices.

Each device keeps its part of the columns and of their gradients, and no
device ever holds the columns of all. For the table of all pairs the blocks
of every device are shown to all others, one at a time; for anchors only the
anchors' columns travel.
"""

from typing import Any

from keras import ops

from keras_mhe import _backend
from keras_mhe._typing import Tensor
from keras_mhe.ops._pairs.all_pairs import table_sum
from keras_mhe.ops._pairs.anchors import table_of_anchors
from keras_mhe.ops._pairs.columns import Columns, cosines_of, own_scales
from keras_mhe.ops._pairs.neurons import tangent
from keras_mhe.ops._pairs.potentials import PairEnergy
from keras_mhe.ops._pairs.tiles import from_blocks, to_blocks


def sharded_table_of_all_pairs(
    shards: Any, columns: Columns, pair_energy: PairEnergy, tile: int
) -> tuple[Tensor, Tensor]:
    """`table_of_all_pairs` of columns spread over devices.

    Args:
        shards: What `_backend.device_shards` returned.
        columns: Without an axis in front.
        pair_energy: The energy of a pair.
        tile: Columns in a block.

    Returns:
        Sum over unordered pairs, and the `tangent` of its gradient.
    """

    def on_device(own: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        blocks = to_blocks(Columns(own, *others), tile)
        num_blocks = ops.shape(blocks.vectors)[0]
        is_diagonal = ops.eye(tile, dtype="bool")
        here = shards.index()

        def scale(index: Tensor, scales: Tensor) -> Tensor:
            block = blocks.each(lambda part: part[index])
            products = cosines_of(block.vectors, block.vectors)
            return _backend.add_at(scales, index, own_scales(products, block))

        scales = ops.ones_like(blocks.counts)
        if not blocks.are_short:
            scales = ops.fori_loop(0, num_blocks, scale, 0.0 * scales)

        def show(step: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            """One block of one device meets all blocks of this one."""
            owner, place = step // num_blocks, step % num_blocks
            is_owner = ops.equal(owner, here)

            def shown(part: Tensor) -> Tensor:
                return shards.sum(ops.where(is_owner, part[place], 0.0))

            second, second_scales = blocks.each(shown), shown(scales)

            def meet(
                index: Tensor, carry: tuple[Tensor, ...]
            ) -> tuple[Tensor, ...]:
                total, gradients = carry
                is_same = ops.logical_and(is_owner, ops.equal(place, index))
                is_self = ops.logical_and(is_same, is_diagonal)
                cosines = cosines_of(blocks.vectors[index], second.vectors)
                if not blocks.are_short:
                    cosines = _backend.scale(
                        cosines, scales[index], second_scales
                    )
                values, slopes = pair_energy(ops.where(is_self, 0.0, cosines))
                values = ops.where(is_self, 0.0, values)
                slopes = ops.where(is_self, 0.0, slopes)
                by_own = _backend.matmul(
                    second.vectors, slopes, transpose_second=True
                )
                return (
                    total
                    + table_sum(values, blocks.counts[index], second.counts),
                    _backend.add_at(gradients, index, by_own),
                )

            total, gradients = carry
            shown_total, gradients = ops.fori_loop(
                0, num_blocks, meet, (ops.zeros_like(total), gradients)
            )
            return total + shown_total, gradients

        zero = ops.zeros((), dtype=own.dtype)
        total, gradients = ops.fori_loop(
            0,
            shards.count * num_blocks,
            show,
            (zero, _backend.new_sums(blocks.vectors)),
        )
        gradient = from_blocks(_backend.stack(gradients), ops.shape(own)[1])
        # All ordered pairs were met, half of them on other devices.
        return 0.5 * shards.sum(total), tangent(own, gradient)

    total, gradient = shards.map(on_device, columns)
    return total, gradient


def sharded_table_of_anchors(
    shards: Any,
    anchors: Tensor,
    columns: Columns,
    group_size: Tensor,
    pair_energy: PairEnergy,
    tile: int | None,
) -> tuple[Tensor, Tensor]:
    """Anchors against columns that are spread over devices.

    Args:
        shards: What `_backend.device_shards` returned.
        anchors: Indices of columns, shape `(m,)`.
        columns: All columns, without an axis in front.
        group_size: Columns in a group.
        pair_energy: The energy of a pair.
        tile: Columns in a block, or `None` for all of a device at once.

    Returns:
        Sum over the table, and its gradient by `columns.vectors`.
    """

    def on_device(
        vectors: Tensor,
        squared_norms: Tensor,
        counts: Tensor,
        anchors: Tensor,
    ) -> tuple[Tensor, Tensor]:
        own = Columns(vectors, squared_norms, counts)
        size = own.size
        first_index = shards.index() * size
        is_own = ops.logical_and(
            anchors >= first_index, anchors < first_index + size
        )
        place = ops.clip(anchors - first_index, 0, size - 1)

        def taken(part: Tensor) -> Tensor:
            there = ops.take(part, place, axis=-1)
            return shards.sum(ops.where(is_own, there, 0.0))

        indices = first_index + _backend.indices(size)
        total, by_row, gradient = table_of_anchors(
            own.each(taken),
            anchors,
            own,
            indices,
            group_size,
            pair_energy,
            tile,
        )
        by_row = ops.where(is_own, shards.sum(by_row), 0.0)
        gradient = _backend.add_to_columns(gradient, place, by_row)
        return shards.sum(total), gradient

    total, gradient = shards.map(on_device, columns, anchors)
    return total, gradient

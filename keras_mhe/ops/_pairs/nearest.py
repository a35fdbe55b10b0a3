"""The nearest other column of each, found in tiles and then measured."""

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_block_size, check_boolean
from keras_mhe.ops._pairs.columns import Columns, cosines_of
from keras_mhe.ops._pairs.groups import (
    by_group,
    directions_of,
    have_direction,
)
from keras_mhe.ops._pairs.neurons import sum_of_entries
from keras_mhe.ops._pairs.tiles import choose_tile, from_blocks, to_blocks

#: Below every cosine.
_NO_NEIGHBOR = -2.0


def nearest_squared(
    weights: Tensor,
    *,
    half_space: bool,
    neuron_axis: int | tuple[int, ...],
    groups: int,
    block_size: int | str,
) -> tuple[Tensor, Tensor]:
    """Squared distance of each neuron to its nearest one.

    A search without a gradient finds the neighbor, and the distance is that
    of the two, so no table of all pairs is kept.

    Args:
        weights: As in `hyperspherical_energy`.
        half_space: Whether the opposites of other neurons are neighbors too.
        neuron_axis: As in `hyperspherical_energy`.
        groups: As in `hyperspherical_energy`.
        block_size: As in `hyperspherical_energy`.

    Returns:
        Squared distances, differentiable by the weights, and bools: which
        neurons have a neighbor. Both of shape `(groups, size)`. The distance
        is 0, without a gradient, for nearly equal neurons, as
        `hyperspherical_energy` counts them, and without a neighbor.

    Raises:
        ValueError: If an argument is outside its range, or the kernel does
            not have the axes or groups.
    """
    half_space = check_boolean("half_space", half_space)
    block_size = check_block_size(block_size)
    units = directions_of(weights, neuron_axis, groups)
    dim, num_neurons = ops.shape(units)
    tile = choose_tile(
        block_size,
        num_neurons // groups,
        num_tables=groups,
        dim=dim,
        on_cpu=_backend.runs_on_cpu(units),
    )
    fixed = by_group(ops.stop_gradient(units), groups)
    counts = ops.cast(have_direction(fixed), units.dtype)
    columns = Columns(fixed, counts, counts)
    if tile is None:
        nearest = _in_one_table(columns, half_space)
    else:
        nearest = _backend.without_unrolling(
            _in_tiles, columns, half_space, tile
        )
    size = ops.cast(num_neurons // groups, _backend.INDEX_DTYPE)
    first = size * _backend.indices(groups)
    partners = ops.reshape(nearest + first[:, None], (-1,))
    others = _backend.take_columns(units, partners)
    if half_space:
        cosines = ops.stop_gradient(sum_of_entries(units * others))
        others = ops.where(cosines < 0.0, -others, others)
    squared = sum_of_entries(ops.square(units - others))
    squared = ops.reshape(squared, (groups, -1))
    living = ops.sum(counts, axis=-1, keepdims=True)
    has_neighbor = counts * living > 1.0
    dtype = _numerics.computation_dtype(units)
    floor = _numerics.resolution(dtype, dim if isinstance(dim, int) else None)
    is_apart = ops.logical_and(has_neighbor, squared > floor)
    return ops.where(is_apart, squared, 0.0), has_neighbor


def _in_one_table(columns: Columns, half_space: bool) -> Tensor:
    cosines = _cosines_of_living(columns, columns, half_space)
    cosines = _backend.set_diagonal(cosines, _NO_NEIGHBOR)
    return ops.cast(ops.argmax(cosines, axis=-1), _backend.INDEX_DTYPE)


def _in_tiles(columns: Columns, half_space: bool, tile: int) -> Tensor:
    """Each block against all, one tile alive at a time."""
    blocks = to_blocks(columns, tile)
    num_blocks = ops.shape(blocks.vectors)[0]
    is_diagonal = ops.eye(tile, dtype="bool")
    no_index = ops.zeros_like(blocks.counts, dtype=_backend.INDEX_DTYPE)

    def search(row: Tensor, found: Tensor) -> Tensor:
        first = blocks.each(lambda part: part[row])

        def meet(
            column: Tensor, carry: tuple[Tensor, Tensor]
        ) -> tuple[Tensor, Tensor]:
            largest, place = carry
            second = blocks.each(lambda part: part[column])
            is_same = ops.logical_and(ops.equal(row, column), is_diagonal)
            cosines = _cosines_of_living(first, second, half_space)
            cosines = ops.where(is_same, _NO_NEIGHBOR, cosines)
            here = ops.max(cosines, axis=-1)
            start = tile * ops.cast(column, _backend.INDEX_DTYPE)
            index = ops.argmax(cosines, axis=-1)
            index = start + ops.cast(index, _backend.INDEX_DTYPE)
            is_nearer = here > largest
            return (
                ops.where(is_nearer, here, largest),
                ops.where(is_nearer, index, place),
            )

        none = _NO_NEIGHBOR * ops.ones_like(first.counts)
        _, place = ops.fori_loop(0, num_blocks, meet, (none, no_index[0]))
        return _backend.add_at(found, row, place)

    found = ops.fori_loop(0, num_blocks, search, _backend.new_sums(no_index))
    return from_blocks(_backend.stack(found), columns.size)


def _cosines_of_living(
    rows: Columns, columns: Columns, half_space: bool
) -> Tensor:
    """Cosines, lower than all for columns that do not count."""
    cosines = cosines_of(rows.vectors, columns.vectors)
    if half_space:
        cosines = ops.abs(cosines)
    return ops.where(columns.counts[..., None, :] > 0.0, cosines, _NO_NEIGHBOR)

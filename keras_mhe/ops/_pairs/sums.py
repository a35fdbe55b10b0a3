"""Sums of a potential over pairs of directions, with their gradients.

What stands here is which pairs there are, in full and in half space, and how
many. What a table of them costs is the business of `all_pairs` and `anchors`,
and of `shards` for columns on several devices.
"""

from typing import Any

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe.ops._pairs.all_pairs import table_of_all_pairs
from keras_mhe.ops._pairs.anchors import table_of_anchors
from keras_mhe.ops._pairs.columns import Columns
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.groups import by_group
from keras_mhe.ops._pairs.neurons import Directions, tangent
from keras_mhe.ops._pairs.potentials import PairEnergy, Potential
from keras_mhe.ops._pairs.shards import (
    sharded_table_of_all_pairs,
    sharded_table_of_anchors,
)
from keras_mhe.ops._pairs.tiles import choose_tile, from_blocks


def sum_over_pairs(
    directions: Directions,
    potential: Potential,
    form: EnergyForm,
    tile: int | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """All pairs inside each of `groups` contiguous blocks of columns.

    In half space two columns and their opposites make four pairs, with the
    energy `2 f(c) + 2 f(-c)`.

    Args:
        directions: `N` columns of dimension `dim`.
        potential: The energy of a pair.
        form: Whether the opposites of the columns count too, and the number
            of blocks, which divides `N`.
        tile: Edge of a tile of the table of pairs, or `None` for no tiles.

    Returns:
        Sum over unordered pairs, the `tangent` of its gradient by
        `directions.vectors` (shape `(dim, N)`), and the number of pairs, a
        scalar tensor of at least 1; of half space half of each of the three.
    """
    columns, groups = _columns(directions), form.groups
    living = _living(columns.counts, groups)
    pair_energy = _pair_energy(potential, form.half_space, columns)
    own_total, own_slopes = 0.0, None
    if form.half_space:
        # Of the four pairs that two columns make, and of the pair of a column
        # with its own opposite, half is counted.
        own, own_slopes = _own_opposites(directions, living, potential)
        own_total = 0.5 * ops.sum(own)
        own_slopes = None if own_slopes is None else 0.5 * own_slopes
    if groups > 1:
        if own_slopes is not None:
            own_slopes = ops.reshape(own_slopes, (groups, -1))
        total, gradient = table_of_all_pairs(
            columns.each(lambda part: by_group(part, groups)),
            pair_energy,
            tile,
            own_slopes,
        )
        gradient = from_blocks(gradient, columns.size)
    elif tile is not None and (
        shards := _backend.device_shards(columns.vectors)
    ):
        total, gradient = sharded_table_of_all_pairs(
            shards, columns, pair_energy, _tile_of_part(tile, shards, columns)
        )
        if own_slopes is not None:
            gradient = gradient + own_slopes * columns.vectors
    else:
        total, gradient = table_of_all_pairs(
            columns, pair_energy, tile, own_slopes
        )
    count = 0.5 * ops.sum(living * _partners(living, form.half_space))
    return total + own_total, gradient, _backend.at_least(count, 0.5)


def sum_over_pairs_of_anchors(
    directions: Directions,
    potential: Potential,
    form: EnergyForm,
    tile: int | None,
    anchors: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of an anchor with another column of its block.

    Args:
        directions: `N` columns of dimension `dim`.
        potential: The energy of a pair.
        form: Whether the opposites of the columns count too, and the number
            of blocks, which divides `N`.
        tile: Columns of a tile of the table, or `None` for no tiles.
        anchors: Integer tensor of shape `(m,)`, column indices in `[0, N)`.

    Returns:
        Sum, the `tangent` of its gradient by `directions.vectors` (shape
        `(dim, N)`), and the number of pairs, a scalar tensor of at least 1.
    """
    columns = _columns(directions)
    vectors = columns.vectors
    num_neurons = ops.shape(vectors)[1]
    size = num_neurons // form.groups
    pair_energy = _pair_energy(potential, form.half_space, columns)
    if tile is not None and (shards := _backend.device_shards(vectors)):
        tile = _tile_of_part(tile, shards, columns)
        total, gradient = sharded_table_of_anchors(
            shards, anchors, columns, size, pair_energy, tile
        )
    else:
        rows = columns.each(lambda part: _taken(part, anchors))
        indices = _backend.indices(num_neurons)
        total, by_row, gradient = table_of_anchors(
            rows, anchors, columns, indices, size, pair_energy, tile
        )
        gradient = _backend.add_to_columns(gradient, anchors, by_row)
    gradient = tangent(vectors, gradient)
    living = _living(columns.counts, form.groups)
    if form.half_space:
        own, own_slopes = _own_opposites(directions, living, potential)
        # Each as often as the column is an anchor.
        total = total + ops.sum(_taken(own, anchors))
        if own_slopes is not None:
            gradient = _backend.add_to_columns(
                gradient,
                anchors,
                _taken(own_slopes, anchors) * _taken(vectors, anchors),
            )
    partners = ops.take(
        _partners(living, form.half_space), anchors // size, axis=0
    )
    count = ops.sum(_taken(columns.counts, anchors) * partners)
    return total, gradient, _backend.at_least(count, 1.0)


def sum_over_sample(
    directions: Directions,
    potential: Potential,
    form: EnergyForm,
    tile: int | None,
    anchors: Tensor,
    others: Tensor,
    num_neurons: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of an anchor with a column that was drawn for it.

    Args:
        directions: The `m` anchors' columns, then the `k` drawn ones.
        potential: The energy of a pair.
        form: Whether the opposites of the columns count too.
        tile: Columns of a tile of the table, or `None` for no tiles.
        anchors: Indices of the anchors, shape `(m,)`.
        others: Indices of the drawn columns, shape `(k,)`.
        num_neurons: Number `N` of all columns that could be drawn.

    Returns:
        `N / k` times the sum, which estimates `sum_over_pairs_of_anchors`;
        the `tangent` of its gradient by `directions.vectors`; and the number
        of the pairs of anchors with all columns, estimated by the same share.
    """
    columns = _columns(directions)
    vectors = columns.vectors
    num_anchors, num_others = ops.shape(anchors)[0], ops.shape(others)[0]
    rows = columns.each(lambda part: part[..., :num_anchors])
    drawn = columns.each(lambda part: part[..., num_anchors:])
    pair_energy = _pair_energy(potential, form.half_space, columns)
    total, by_row, by_drawn = table_of_anchors(
        rows, anchors, drawn, others, num_neurons, pair_energy, tile
    )
    share = ops.cast(num_others, vectors.dtype) / ops.cast(
        num_neurons, vectors.dtype
    )
    total = total / share
    gradient = tangent(vectors, ops.concatenate([by_row, by_drawn], 1) / share)
    living = _living(drawn.counts, 1) / share
    if form.half_space:
        own, own_slopes = _own_opposites(directions, living, potential)
        total = total + ops.sum(own[:num_anchors])
        if own_slopes is not None:
            is_anchor = ops.arange(num_anchors + num_others) < num_anchors
            slopes = ops.where(is_anchor, own_slopes, 0.0)
            gradient = gradient + slopes * vectors
    count = ops.sum(rows.counts) * ops.sum(_partners(living, form.half_space))
    return total, gradient, _backend.at_least(count, 1.0)


def _columns(directions: Directions) -> Columns:
    """What a table needs of directions."""
    return Columns(
        directions.vectors, directions.squared_norms, directions.counts
    )


def _pair_energy(
    potential: Potential, half_space: bool, columns: Columns
) -> PairEnergy:
    """Value and slope of a column with another, and with its opposite."""
    dtype = _numerics.computation_dtype(columns.vectors)
    dim = ops.shape(columns.vectors)[0]
    floor = _numerics.resolution(dtype, dim if isinstance(dim, int) else None)
    if half_space:
        return lambda cosine: potential.value_and_slope_of_lines(cosine, floor)
    return lambda cosine: potential.value_and_slope(cosine, floor)


def _tile_of_part(tile: int, shards: Any, columns: Columns) -> int:
    """A tile that divides the columns of one device into equal blocks."""
    dim, size = ops.shape(columns.vectors)
    num_columns: int = size // shards.count
    return choose_tile(tile, num_columns, dim=dim) or num_columns


def _taken(part: Tensor, indices: Tensor) -> Tensor:
    """Takes columns, or what there is one of for each column."""
    if len(part.shape) == 1:
        return ops.take(part, indices, axis=0)
    return _backend.take_columns(part, indices)


def _living(counts: Tensor, groups: int) -> Tensor:
    """Returns how many columns of each block count, shape `(groups,)`."""
    if groups == 1:
        return ops.sum(counts, axis=0, keepdims=True)
    return ops.sum(ops.reshape(counts, (groups, -1)), axis=-1)


def _partners(living: Tensor, half_space: bool) -> Tensor:
    """Returns how many columns, and opposites, each one meets in its block."""
    if half_space:
        return (2.0 * living - 1.0) * _have_pairs(living)
    return living - 1.0


def _have_pairs(living: Tensor) -> Tensor:
    """Returns 1 for blocks with pairs, 0 for those with one column.

    What it is without columns does not count either.
    """
    return 1.0 - _backend.at_least(2.0 - living, 0.0)


def _own_opposites(
    directions: Directions, living: Tensor, potential: Potential
) -> tuple[Tensor, Tensor | None]:
    """Energy of each column with its own opposite, `c = -|u|**2`.

    A column that is alone in its block has no pair by convention.

    Returns:
        Values, and the factors by which the columns are the tangents of
        their gradients, `-2 f'(c) u`, or `None` if those are zero.
    """
    squared_norms = directions.squared_norms
    has_pairs, groups = _have_pairs(living), living.shape[0]
    if groups > 1:
        of_columns = (groups, ops.shape(squared_norms)[0] // groups)
        has_pairs = ops.broadcast_to(has_pairs[:, None], of_columns)
        has_pairs = ops.reshape(has_pairs, (-1,))
    if directions.have_fixed_length:
        without_direction = directions.counts - squared_norms
        values = (
            potential.value(-1.0) * squared_norms
            + potential.value(0.0) * without_direction
        )
        return has_pairs * values, None
    values, slopes = potential.value_and_slope(
        -squared_norms,
        _numerics.resolution(_numerics.computation_dtype(squared_norms)),
    )
    slopes = (-2.0 * has_pairs) * slopes * (1.0 - squared_norms)
    return has_pairs * values, slopes

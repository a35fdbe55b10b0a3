"""Sums of a potential over pairs of directions, with their gradients.

What stands here is which pairs there are, in full and in half space, and how
many. How their table is cut into tiles is the business of `_tiles`, and of
`_shards` for columns on several devices.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_mhe import _backend
from keras_mhe._typing import Tensor
from keras_mhe.functional._neurons import Directions, tangent
from keras_mhe.functional._potentials import Potential
from keras_mhe.functional._shards import (
    sharded_table_of_all_pairs,
    sharded_table_of_anchors,
)
from keras_mhe.functional._tiles import (
    choose_tile,
    table_of_all_pairs,
    table_of_anchors,
)


def sum_over_pairs(
    directions: Directions,
    potential: Potential,
    half_space: bool,
    groups: int,
    tile: int | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """All pairs inside each of `groups` contiguous blocks of columns.

    In half space two columns and their opposites make four pairs, with the
    energy `2 f(c) + 2 f(-c)`.

    Args:
        directions: `N` columns of dimension `dim`.
        potential: The energy of a pair.
        half_space: Whether the opposites of the columns count too.
        groups: Number of blocks; divides `N`.
        tile: Edge of a tile of the table of pairs, or `None` for no tiles.

    Returns:
        Sum over unordered pairs, the `tangent` of its gradient by
        `directions.vectors` (shape `(dim, N)`), and the number of pairs; of
        half space half of each of the three.
    """
    vectors = directions.vectors
    dim, num_neurons = ops.shape(vectors)
    size = num_neurons // groups
    pair_energy = _pair_energy(potential, half_space)
    own_total, own_slopes = 0.0, None
    if half_space:
        # Of the four pairs that two columns make, and of the pair of a column
        # with its own opposite, half is counted.
        own, own_slopes = _own_opposites(directions, size, potential)
        own_total = 0.5 * ops.sum(own)
        own_slopes = None if own_slopes is None else 0.5 * own_slopes
    if groups > 1:
        stack = ops.reshape(vectors, (dim, groups, size))
        stack = ops.transpose(stack, (1, 0, 2))
        if own_slopes is not None:
            own_slopes = ops.reshape(own_slopes, (groups, size))
        total, gradient = table_of_all_pairs(
            stack, pair_energy, tile, own_slopes
        )
        gradient = ops.transpose(gradient, (1, 0, 2))
        gradient = ops.reshape(gradient, (dim, num_neurons))
    elif tile is not None and (shards := _backend.device_shards(vectors)):
        total, gradient = sharded_table_of_all_pairs(
            shards, vectors, pair_energy, _tile_of_part(tile, shards, vectors)
        )
        if own_slopes is not None:
            gradient = gradient + own_slopes * vectors
    else:
        total, gradient = table_of_all_pairs(
            vectors, pair_energy, tile, own_slopes
        )
    count = _num_pairs(num_neurons, size, half_space, total)
    return total + own_total, gradient, 0.5 * count


def sum_over_pairs_of_anchors(
    directions: Directions,
    potential: Potential,
    half_space: bool,
    groups: int,
    tile: int | None,
    anchors: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of an anchor with another column of its block.

    Args:
        directions: `N` columns of dimension `dim`.
        potential: The energy of a pair.
        half_space: Whether the opposites of the columns count too.
        groups: Number of blocks; divides `N`.
        tile: Columns of a tile of the table, or `None` for no tiles.
        anchors: Integer tensor of shape `(m,)`, column indices in `[0, N)`.

    Returns:
        Sum, the `tangent` of its gradient by `directions.vectors` (shape
        `(dim, N)`), and the number of pairs.
    """
    vectors = directions.vectors
    num_neurons = ops.shape(vectors)[1]
    num_anchors = ops.shape(anchors)[0]
    size = num_neurons // groups
    pair_energy = _pair_energy(potential, half_space)
    if tile is not None and (shards := _backend.device_shards(vectors)):
        tile = _tile_of_part(tile, shards, vectors)
        total, gradient = sharded_table_of_anchors(
            shards, anchors, vectors, size, pair_energy, tile
        )
    else:
        rows = _backend.take_columns(vectors, anchors)
        indices = _backend.indices(num_neurons)
        total, by_row, gradient = table_of_anchors(
            rows, anchors, vectors, indices, size, pair_energy, tile
        )
        gradient = _backend.add_to_columns(gradient, anchors, by_row)
    gradient = tangent(vectors, gradient)
    if half_space:
        own, own_slopes = _own_opposites(directions, size, potential)
        # Each as often as the column is an anchor.
        total = total + ops.sum(ops.take(own, anchors, axis=0))
        if own_slopes is not None:
            own_slopes = ops.take(own_slopes, anchors, axis=0)
            gradient = _backend.add_to_columns(
                gradient,
                anchors,
                own_slopes * _backend.take_columns(vectors, anchors),
            )
    return total, gradient, _num_pairs(num_anchors, size, half_space, total)


def sum_over_sample(
    directions: Directions,
    potential: Potential,
    half_space: bool,
    tile: int | None,
    anchors: Tensor,
    others: Tensor,
    num_neurons: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of an anchor with a column that was drawn for it.

    Args:
        directions: The `m` anchors' columns, then the `k` drawn ones.
        potential: The energy of a pair.
        half_space: Whether the opposites of the columns count too.
        tile: Columns of a tile of the table, or `None` for no tiles.
        anchors: Indices of the anchors, shape `(m,)`.
        others: Indices of the drawn columns, shape `(k,)`.
        num_neurons: Number `N` of all columns that could be drawn.

    Returns:
        `N / k` times the sum, which estimates `sum_over_pairs_of_anchors`;
        the `tangent` of its gradient by `directions.vectors`; and the number
        of the pairs of anchors with all columns.
    """
    vectors = directions.vectors
    num_anchors, num_others = ops.shape(anchors)[0], ops.shape(others)[0]
    rows, drawn = vectors[:, :num_anchors], vectors[:, num_anchors:]
    pair_energy = _pair_energy(potential, half_space)
    total, by_row, by_drawn = table_of_anchors(
        rows, anchors, drawn, others, num_neurons, pair_energy, tile
    )
    share = ops.cast(num_others, vectors.dtype) / ops.cast(
        num_neurons, vectors.dtype
    )
    total = total / share
    gradient = tangent(vectors, ops.concatenate([by_row, by_drawn], 1) / share)
    if half_space:
        own, own_slopes = _own_opposites(directions, num_neurons, potential)
        total = total + ops.sum(own[:num_anchors])
        if own_slopes is not None:
            is_anchor = ops.arange(num_anchors + num_others) < num_anchors
            slopes = ops.where(is_anchor, own_slopes, 0.0)
            gradient = gradient + slopes * vectors
    count = _num_pairs(num_anchors, num_neurons, half_space, total)
    return total, gradient, count


def _pair_energy(
    potential: Potential, half_space: bool
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Value and slope of a column with another, and with its opposite."""
    if half_space:
        return potential.value_and_slope_of_lines
    return potential.value_and_slope


def _tile_of_part(tile: int, shards: Any, vectors: Tensor) -> int:
    """A tile that divides the columns of one device into equal blocks."""
    num_columns: int = ops.shape(vectors)[1] // shards.count
    return choose_tile(tile, num_columns) or num_columns


def _own_opposites(
    directions: Directions, size: Tensor, potential: Potential
) -> tuple[Tensor, Tensor | None]:
    """Energy of each column with its own opposite, `c = -|u|**2`.

    A column that is alone in its block has no pair by convention. `size` is
    an int, or a scalar tensor where the shape is not known.

    Returns:
        Values, and the factors by which the columns are the tangents of
        their gradients, `-2 f'(c) u`, or `None` if those are zero.
    """
    squared_norms = directions.squared_norms
    if isinstance(size, int):
        has_pairs = float(size > 1)
    else:
        has_pairs = ops.cast(size > 1, squared_norms.dtype)
    if directions.have_fixed_length:
        opposite = has_pairs * potential.value(-1.0) * squared_norms
        orthogonal = has_pairs * potential.value(0.0) * (1.0 - squared_norms)
        return opposite + orthogonal, None
    values, slopes = potential.value_and_slope(-squared_norms)
    slopes = (-2.0 * has_pairs) * slopes * (1.0 - squared_norms)
    return has_pairs * values, slopes


def _num_pairs(
    num_rows: Tensor, size: Tensor, half_space: bool, like: Tensor
) -> Tensor:
    """How many columns, and opposites, the rows meet; at least 1."""
    if isinstance(num_rows, int) and isinstance(size, int):
        per_row = 2 * size - 1 if half_space else size - 1
        return float(max(num_rows * per_row, 1))
    num_rows, size = ops.cast(num_rows, like.dtype), ops.cast(size, like.dtype)
    per_row = 2.0 * size - 1.0 if half_space else size - 1.0
    return _backend.at_least(num_rows * per_row, 1.0)

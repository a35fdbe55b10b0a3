"""Means of a potential over pairs of directions, with their gradients.

Both functions return the mean and its gradient by the direction vectors. The
table of pairs is held at once, `N x N` or `m x N` numbers.
"""

from keras import ops

from keras_mhe import _numerics
from keras_mhe._typing import Tensor
from keras_mhe.functional._neurons import Directions
from keras_mhe.functional._potentials import Potential


def mean_over_all_pairs(
    directions: Directions, potential: Potential, half_space: bool, groups: int
) -> tuple[Tensor, Tensor]:
    """All pairs inside each of `groups` contiguous blocks of rows.

    Args:
        directions: `N` rows of dimension `dim`.
        potential: The energy of a pair.
        half_space: Whether the opposites of the rows count too.
        groups: Number of blocks; divides `N`.

    Returns:
        Scalar mean and its gradient by `directions.vectors`, `(N, dim)`.
    """
    vectors = directions.vectors
    shape = ops.shape(vectors)
    size = shape[0] // groups
    blocks = ops.reshape(vectors, (groups, size, shape[1]))
    index = ops.arange(size)
    meets = ops.not_equal(index[:, None], index[None, :])
    total, slopes = _table(blocks, blocks, meets, potential, half_space)
    # Each unordered pair stands in the table twice.
    gradient = ops.reshape(2.0 * (slopes @ blocks), shape)
    if half_space:
        own, own_gradient = _own_opposites(
            vectors, directions.squared_norms, size, potential
        )
        total = total + ops.sum(own)
        gradient = gradient + own_gradient
    count = _num_table_entries(shape[0], size, half_space, total.dtype)
    return total / count, gradient / count


def mean_over_anchor_pairs(
    directions: Directions,
    potential: Potential,
    half_space: bool,
    groups: int,
    anchors: Tensor,
) -> tuple[Tensor, Tensor]:
    """Pairs of an anchor with another row of its block.

    Args:
        directions: `N` rows of dimension `dim`.
        potential: The energy of a pair.
        half_space: Whether the opposites of the rows count too.
        groups: Number of blocks; divides `N`.
        anchors: Int32 tensor of shape `(m,)`, row indices in `[0, N)`.

    Returns:
        Scalar mean and its gradient by `directions.vectors`, `(N, dim)`.
    """
    vectors = directions.vectors
    num_neurons = ops.shape(vectors)[0]
    size = num_neurons // groups
    index = ops.arange(num_neurons, dtype="int32")
    meets = ops.not_equal(anchors[:, None], index[None, :])
    if groups > 1:
        same_block = ops.equal(anchors[:, None] // size, index[None, :] // size)
        meets = ops.logical_and(meets, same_block)
    rows = ops.take(vectors, anchors, axis=0)
    total, slopes = _table(rows, vectors, meets, potential, half_space)
    by_row = slopes @ vectors
    if half_space:
        squared_norms = ops.take(directions.squared_norms, anchors, axis=0)
        own, own_gradient = _own_opposites(rows, squared_norms, size, potential)
        total = total + ops.sum(own)
        by_row = by_row + own_gradient
    gradient = ops.transpose(slopes) @ rows + ops.segment_sum(
        by_row, anchors, num_segments=num_neurons
    )
    num_anchors = ops.shape(anchors)[0]
    count = _num_table_entries(num_anchors, size, half_space, total.dtype)
    return total / count, gradient / count


def _table(
    rows: Tensor,
    columns: Tensor,
    meets: Tensor,
    potential: Potential,
    half_space: bool,
) -> tuple[Tensor, Tensor]:
    """Sum over the entries that meet, and every entry's derivative.

    In half space a row meets each column and its opposite: the entry is
    `f(c) + f(-c)`.
    """
    # Not ops.matmul, which takes float64 down to float32 on PyTorch.
    cosines = rows @ ops.swapaxes(columns, -1, -2)
    # Entries that do not count are made harmless before the potential.
    cosines = ops.where(meets, cosines, 0.0)
    values, slopes = potential.value_and_slope(cosines)
    if half_space:
        opposite_values, opposite_slopes = potential.value_and_slope(-cosines)
        values = values + opposite_values
        slopes = slopes - opposite_slopes
    total = ops.sum(ops.where(meets, values, 0.0))
    return total, ops.where(meets, slopes, 0.0)


def _own_opposites(
    vectors: Tensor, squared_norms: Tensor, size: Tensor, potential: Potential
) -> tuple[Tensor, Tensor]:
    """Energy of each row with its own opposite, `c = -|u|**2`, and gradient.

    A row that is alone in its block has no pair by convention. `size` is an
    int, or a scalar tensor where the shape is not known.
    """
    values, slopes = potential.value_and_slope(-squared_norms)
    if isinstance(size, int):
        has_pairs = float(size > 1)
    else:
        has_pairs = ops.cast(size > 1, values.dtype)
    return has_pairs * values, (-2.0 * has_pairs) * slopes * vectors


def _num_table_entries(
    num_rows: Tensor, size: Tensor, half_space: bool, dtype: str
) -> Tensor:
    """Number of pairs that the sum over a table holds, at least 1."""
    num_rows = ops.cast(num_rows, dtype)
    size = ops.cast(size, dtype)
    per_row = 2.0 * size - 1.0 if half_space else size - 1.0
    return _numerics.at_least(num_rows * per_row, 1.0)

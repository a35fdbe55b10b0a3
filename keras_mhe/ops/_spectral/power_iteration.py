"""The first singular vectors by power iteration, and the norm they tell."""

from typing import Any

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_boolean, check_integer
from keras_mhe.ops._pairs.neurons import unit_columns
from keras_mhe.ops._spectral.matrix import matrix_of


def power_iteration(
    weights: Tensor,
    u: Tensor,
    *,
    iterations: int = 1,
    neuron_axis: int | tuple[int, ...] = -1,
    stop_gradient: bool = True,
) -> tuple[Tensor, Tensor]:
    """Moves an estimate of the first singular vectors closer to them.

    The kernel counts as the matrix `W` of shape `(dim, num_neurons)` whose
    columns are the neurons. Each iteration sets `v` to the direction of
    `W u` and `u` to that of `W^T v`.

    Args:
        weights: Float tensor of rank 2 or more, the kernel.
        u: Float tensor, shape `(num_neurons,)`, not zero.
        iterations: Int >= 1. Defaults to `1`.
        neuron_axis: Int or tuple of ints, the axes of the kernel that count
            its neurons. Defaults to `-1`.
        stop_gradient: Bool. Whether the vectors are constants for the
            gradient. If not, they are differentiable by the weights, once.
            Defaults to `True`.

    Returns:
        The pair of `u`, shape `(num_neurons,)`, and `v`, shape `(dim,)`:
        float32 (float64 for float64 weights), of length 1. If `W u` is zero,
        the kernel does not see `u`, and `v` is the direction of its largest
        column. Only for a kernel that is zero or not finite is `v` zeros, and
        `u` stays the direction that it was.

    Raises:
        ValueError: If the kernel does not have the axes, or `u` not one entry
            for each neuron.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import power_iteration
        >>> weights = np.array([[3.0, 0.0], [0.0, 1.0]], "float32")
        >>> u, v = power_iteration(weights, np.ones(2, "float32"))
        >>> [round(float(x), 4) for x in (*u, *v)]
        [0.9939, 0.1104, 0.9487, 0.3162]

    References:
        Miyato et al., "Spectral Normalization for Generative Adversarial
        Networks", ICLR 2018, arXiv:1802.05957, algorithm 1. Differs: the
        matrix is the transposed of theirs.
    """
    iterations = check_integer("iterations", iterations, at_least=1)
    matrix = matrix_of(weights, neuron_axis)
    if check_boolean("stop_gradient", stop_gradient):
        matrix = ops.stop_gradient(matrix)
    u = ops.stop_gradient(ops.cast(ops.convert_to_tensor(u), matrix.dtype))
    _check_length("u", u.shape, matrix.shape[1])
    u = _direction(u)
    for _ in range(iterations):
        product = _times(matrix, u)
        # What is orthogonal to all that the kernel sees would stay there.
        is_lost = ops.logical_not(ops.any(product != 0.0))
        v = _direction(ops.where(is_lost, _largest_column(matrix), product))
        moved = _direction(_times(matrix, v, transpose=True))
        u = ops.where(ops.any(moved != 0.0), moved, u)
    return u, v


def rayleigh_quotient(
    weights: Tensor,
    u: Tensor,
    v: Tensor,
    *,
    neuron_axis: int | tuple[int, ...] = -1,
) -> Tensor:
    """The spectral norm as singular vectors say it: `v^T W u`.

    Differentiable by all three. With constant `u` and `v`, as
    `power_iteration` returns them, the gradient is `v u^T`: at the true
    singular vectors that of the spectral norm.

    Args:
        weights: Float tensor of rank 2 or more, the kernel.
        u: Float tensor, shape `(num_neurons,)`, from `power_iteration`.
        v: Float tensor, shape `(dim,)`, from `power_iteration`.
        neuron_axis: Int or tuple of ints, the axes of the kernel that count
            its neurons. Defaults to `-1`.

    Returns:
        Scalar tensor, float32 (float64 for float64 weights). At most the
        spectral norm, and positive for vectors that belong to these weights;
        it can be negative for vectors of other weights.

    Raises:
        ValueError: If the kernel does not have the axes, or a vector has not
            the length of its side of the matrix.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import power_iteration
        >>> from keras_mhe.ops import rayleigh_quotient
        >>> weights = np.array([[3.0, 0.0], [0.0, 1.0]], "float32")
        >>> u, v = power_iteration(weights, np.ones(2), iterations=10)
        >>> round(float(rayleigh_quotient(weights, u, v)), 4)
        3.0
    """
    matrix = matrix_of(weights, neuron_axis)
    u = ops.cast(ops.convert_to_tensor(u), matrix.dtype)
    v = ops.cast(ops.convert_to_tensor(v), matrix.dtype)
    _check_length("u", u.shape, matrix.shape[1])
    _check_length("v", v.shape, matrix.shape[0])
    return ops.sum(v * _times(matrix, u))


def divided_by_norm(weights: Tensor, norm: Tensor) -> Tensor:
    """Returns `weights / norm`, or the weights where the norm is 0 or less.

    Args:
        weights: Float tensor of any shape.
        norm: Scalar float tensor.

    Returns:
        Tensor of the shape and dtype of the weights, differentiable by both.
    """
    weights = ops.convert_to_tensor(weights)
    norm = ops.convert_to_tensor(norm)
    smallest = _numerics.smallest_normal(_numerics.computation_dtype(norm))
    # Not `norm > smallest`, which would hide NaN.
    safe_norm = ops.where(norm <= smallest, ops.ones_like(norm), norm)
    return ops.cast(
        ops.cast(weights, safe_norm.dtype) / safe_norm, weights.dtype
    )


def _check_length(name: str, shape: Any, length: Any) -> None:
    """Raises unless a singular vector has the length of its side of `W`."""
    if tuple(shape) != (length,):
        raise ValueError(
            f"`{name}` must have the shape ({length},), that side of the "
            f"kernel. Received: {name}.shape={tuple(shape)}."
        )


def _times(
    matrix: Tensor, vector: Tensor, *, transpose: bool = False
) -> Tensor:
    """Returns the product of the matrix, or its transposed, with a vector."""
    column = ops.expand_dims(vector, 1)
    product = _backend.matmul(matrix, column, transpose_first=transpose)
    return ops.squeeze(product, 1)


def _largest_column(matrix: Tensor) -> Tensor:
    """Returns the first of the columns with the largest entry."""
    matrix = ops.stop_gradient(matrix)
    largest = _backend.largest_magnitudes(matrix)
    # No indices, which TensorFlow would bring from the GPU to the host.
    is_largest = ops.cast(largest >= ops.max(largest), matrix.dtype)
    is_first = ops.cast(ops.cumsum(is_largest) < 1.5, matrix.dtype)
    return _times(matrix, is_largest * is_first)


def _direction(vector: Tensor) -> Tensor:
    """Returns the vector with length 1; zeros if it is zero or not finite."""
    column = ops.expand_dims(vector, 1)
    return ops.squeeze(unit_columns(column), 1)

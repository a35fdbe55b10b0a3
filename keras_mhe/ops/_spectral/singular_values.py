"""All singular values by a decomposition, and a bound put on them."""

import math

from keras import ops

from keras_mhe import _backend
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_choice, check_real
from keras_mhe.ops._pairs.neurons import kernel_of_columns
from keras_mhe.ops._spectral.matrix import matrix_of

#: How `limit_spectral_norm` limits.
MODES = ("scale", "clip")


def singular_values(
    weights: Tensor, *, neuron_axis: int | tuple[int, ...] = -1
) -> Tensor:
    """The singular values of a kernel, exactly, for checks and pictures.

    By a singular value decomposition: about `10 * m * n**2` operations for a
    matrix with the sides `m >= n`.

    Args:
        weights: Float tensor of rank 2 or more, the kernel, seen as the
            matrix whose columns are the neurons.
        neuron_axis: Int or tuple of ints, the axes of the kernel that count
            its neurons. Defaults to `-1`.

    Returns:
        Tensor of shape `(min(dim, num_neurons),)`, from the largest to the
        smallest, float32 (float64 for float64 weights). Without a gradient,
        which is not finite where two values are equal. All NaN if a weight
        is not finite.

    Raises:
        ValueError: If the kernel does not have the axes.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import singular_values
        >>> weights = np.array([[0.0, 2.0], [3.0, 0.0]], "float32")
        >>> [round(float(value), 4) for value in singular_values(weights)]
        [3.0, 2.0]
    """
    matrix = ops.stop_gradient(matrix_of(weights, neuron_axis))
    is_finite = ops.all(ops.isfinite(matrix))
    # Decompositions of NaN raise, or do not end.
    values = ops.svd(
        ops.where(is_finite, matrix, ops.zeros_like(matrix)), compute_uv=False
    )
    return ops.where(is_finite, values, math.nan)


def limit_spectral_norm(
    weights: Tensor,
    max_value: float,
    *,
    mode: str = "scale",
    neuron_axis: int | tuple[int, ...] = -1,
) -> Tensor:
    """Projects a kernel to those with a spectral norm of at most a bound.

    Args:
        weights: Float tensor of rank 2 or more, the kernel, seen as the
            matrix whose columns are the neurons.
        max_value: Real number > 0, the bound.
        mode: `"scale"` divides all weights by one number, so that all
            singular values shrink and the angles between neurons stay.
            `"clip"` lowers to the bound the singular values that are above
            it, and leaves the others: the nearest such kernel in the
            Euclidean norm. Defaults to `"scale"`.
        neuron_axis: Int or tuple of ints, the axes of the kernel that count
            its neurons. Defaults to `-1`.

    Returns:
        Tensor of the shape and dtype of the weights. Kernels within the
        bound, and those with a weight that is not finite, are unchanged.

    Raises:
        ValueError: If an argument is outside its range, or the kernel does
            not have the axes.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import limit_spectral_norm
        >>> weights = np.array([[4.0, 0.0], [0.0, 1.0]], "float32")
        >>> for mode in ("scale", "clip"):
        ...     limited = limit_spectral_norm(weights, 2.0, mode=mode)
        ...     print([[round(float(x), 4) for x in row] for row in limited])
        [[2.0, 0.0], [0.0, 0.5]]
        [[2.0, 0.0], [0.0, 1.0]]
    """
    max_value = check_real("max_value", max_value, above=0)
    mode = check_choice("mode", mode, MODES)
    weights = ops.convert_to_tensor(_backend.value_of(weights))
    if mode == "scale":
        largest = singular_values(weights, neuron_axis=neuron_axis)[0]
        is_above = largest > max_value  # False for NaN.
        # Divided first: one factor of both may be below the dtype's range.
        divided = ops.cast(weights, largest.dtype) / ops.where(
            is_above, largest, 1.0
        )
        limited = divided * max_value
        return ops.where(is_above, ops.cast(limited, weights.dtype), weights)
    matrix = matrix_of(weights, neuron_axis)
    is_finite = ops.all(ops.isfinite(matrix))
    left, values, right = ops.svd(
        ops.where(is_finite, matrix, ops.zeros_like(matrix)),
        full_matrices=False,
    )
    # Not what is too much subtracted: of a huge kernel nothing would be left
    # but rounding errors.
    is_above = values > max_value
    lowered = -_backend.at_least(-values, -max_value)
    clipped = _backend.matmul(left * lowered, right)
    limited = kernel_of_columns(clipped, weights.shape, neuron_axis)
    return ops.where(is_above[0], ops.cast(limited, weights.dtype), weights)

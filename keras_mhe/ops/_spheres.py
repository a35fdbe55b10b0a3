"""Neurons of a given length."""

from keras import ops

from keras_mhe import _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_axes, check_real
from keras_mhe.ops._pairs.neurons import (
    Directions,
    float_tensor,
    kernel_of_columns,
    neuron_columns,
)


def project_to_sphere(
    weights: Tensor,
    radius: float = 1.0,
    *,
    neuron_axis: int | tuple[int, ...] = -1,
) -> Tensor:
    """Gives every neuron the same length, without turning it.

    Args:
        weights: Float tensor of rank 2 or more, the kernel.
        radius: Real number > 0, the length. Defaults to `1.0`.
        neuron_axis: Int or tuple of ints, the axes of the kernel that count
            its neurons. Defaults to `-1`.

    Returns:
        Tensor of the shape and dtype of the weights, float32 for integers,
        without a gradient. Neurons without a direction (zeros, NaN, infinity)
        stay as they are.

    Raises:
        ValueError: If `radius` is outside its range, or the kernel does not
            have the axes.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import project_to_sphere
        >>> kernel = np.array([[3.0, 0.0], [4.0, 0.0]], "float32")
        >>> np.array(project_to_sphere(kernel, 10.0))[:, 0].tolist()
        [6.0, 8.0]
    """
    radius = check_real("radius", radius, above=0)
    neuron_axis = check_axes(neuron_axis)
    weights = ops.stop_gradient(float_tensor(weights))
    columns = neuron_columns(weights, neuron_axis)
    dtype = _numerics.computation_dtype(columns)
    directions = Directions.of(ops.cast(columns, dtype), 0.0)
    has_direction = directions.squared_norms > 0.0
    moved = ops.cast(radius * directions.vectors, columns.dtype)
    columns = ops.where(has_direction, moved, columns)
    return kernel_of_columns(columns, weights.shape, neuron_axis)

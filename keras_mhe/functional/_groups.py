"""Unit vectors of a kernel, group by group, and tables of their cosines."""

import math

from keras import ops

from keras_mhe import _backend, _validation
from keras_mhe._typing import Tensor
from keras_mhe.functional._neurons import (
    float_tensor,
    neuron_columns,
    unit_columns,
)


def grouped_units(
    weights: Tensor, neuron_axis: int | tuple[int, ...], groups: int
) -> Tensor:
    """Returns the directions of neurons, differentiable by the weights.

    Args:
        weights: Float tensor, variable or array of rank 2 or more.
        neuron_axis: Axis or axes that count the neurons.
        groups: Contiguous blocks of neurons; divides their number.

    Returns:
        Tensor of shape `(groups, dim, size)`, float32 or float64. Columns
        without a direction are zeros.

    Raises:
        ValueError: If the kernel does not have the axes or groups.
    """
    columns = neuron_columns(
        float_tensor(weights), _validation.axes(neuron_axis)
    )
    groups = _validation.positive_integer("groups", groups)
    dim, num_neurons = ops.shape(columns)
    _validation.groups_divide(groups, num_neurons)
    units = unit_columns(columns)
    if groups == 1:
        return units[None]
    stack = ops.reshape(units, (dim, groups, num_neurons // groups))
    return ops.transpose(stack, (1, 0, 2))


def mean(tensor: Tensor, axis: int | None = None) -> Tensor:
    """Returns the mean; `keras.ops.mean` rounds float64 on PyTorch."""
    shape = ops.shape(tensor)
    count = math.prod(shape) if axis is None else shape[axis]
    return ops.sum(tensor, axis=axis) / count


def cosine_tables(units: Tensor) -> Tensor:
    """Returns the cosines of each group, shape `(groups, size, size)`."""
    return _backend.matmul(units, units, transpose_first=True)

"""Unit vectors of a kernel, group by group, and tables of their cosines."""

from keras import ops

from keras_mhe import _backend
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_axes, check_groups, check_integer
from keras_mhe.ops._pairs.columns import Columns, cosines_of, own_scales
from keras_mhe.ops._pairs.neurons import (
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
    return by_group(directions_of(weights, neuron_axis, groups), groups)


def directions_of(
    weights: Tensor, neuron_axis: int | tuple[int, ...], groups: int
) -> Tensor:
    """Returns what `grouped_units` does, side by side: `(dim, N)`."""
    columns = neuron_columns(float_tensor(weights), check_axes(neuron_axis))
    groups = check_integer("groups", groups, at_least=1)
    check_groups(groups, ops.shape(columns)[1])
    return unit_columns(columns)


def by_group(part: Tensor, groups: int) -> Tensor:
    """Moves the blocks of the last axis to the front."""
    if groups == 1:
        return part[None]
    *leading, size = ops.shape(part)
    stack = ops.reshape(part, (*leading, groups, size // groups))
    return ops.moveaxis(stack, -2, 0)


def have_direction(units: Tensor) -> Tensor:
    """Returns which columns have length 1, not 0.

    Maps `(groups, dim, size)` to bools of shape `(groups, size)`.
    """
    return ops.sum(units * units, axis=-2) > 0.5


def masked_mean(
    values: Tensor, mask: Tensor, axis: int | None = None
) -> Tensor:
    """Returns the mean of the values where a mask holds; 0 where it has none.

    Not by `keras.ops.mean`, which rounds float64 on PyTorch.
    """
    total = ops.sum(ops.where(mask, values, 0.0), axis=axis)
    number = ops.sum(ops.cast(mask, values.dtype), axis=axis)
    return total / _backend.at_least(number, 1.0)


def cosine_tables(units: Tensor) -> Tensor:
    """Returns the cosines of each group, shape `(groups, size, size)`.

    Equal columns of any dimension have the cosine 1, but for the last digit.
    """
    lengths = ops.cast(have_direction(units), units.dtype)
    columns = Columns(units, lengths, lengths).whole()
    products = cosines_of(columns.vectors, columns.vectors)
    scales = ops.stop_gradient(own_scales(products, columns))
    table = products * scales[..., :, None] * scales[..., None, :]
    return table[..., : units.shape[-1], : units.shape[-1]]

"""Neurons of a kernel: which axes they are, their directions, and back."""

import math
from dataclasses import dataclass

from keras import ops

from keras_mhe import _numerics, _validation
from keras_mhe._typing import Tensor


def neuron_matrix(
    weights: Tensor, neuron_axis: int | tuple[int, ...]
) -> Tensor:
    """Reshapes a kernel of any rank to one row per neuron.

    Args:
        weights: Tensor of rank 2 or more.
        neuron_axis: The axis, or the axes in the order in which their
            indices are flattened (the first varies slowest), that count the
            neurons. All other axes, in their order, make up the vectors.

    Returns:
        Tensor of shape `(num_neurons, dim)`.

    Raises:
        ValueError: As `_validation.axes_of_rank`.
    """
    shape = ops.shape(weights)
    neuron_axes = _validation.axes_of_rank(neuron_axis, shape)
    vector_axes = [
        axis for axis in range(len(shape)) if axis not in neuron_axes
    ]
    num_neurons = math.prod(shape[axis] for axis in neuron_axes)
    dim = math.prod(shape[axis] for axis in vector_axes)
    if isinstance(dim, int) and dim == 0:
        raise ValueError(
            "`weights` must hold vectors of at least one entry. "
            f"Received: weights.shape={tuple(shape)}, "
            f"neuron_axis={neuron_axis}."
        )
    ordered = ops.transpose(weights, [*neuron_axes, *vector_axes])
    return ops.reshape(ordered, (num_neurons, dim))


@dataclass(frozen=True)
class Directions:
    """Rows `w / sqrt(|w|**2 + epsilon)` and what their gradient needs.

    Norms are taken after dividing each row by its largest entry, so rows of
    any norm that the dtype can hold have exact directions. A row of zeros has
    no direction; neither has one with an entry that is not finite. Both are
    stored as zero rows, orthogonal to everything.

    Attributes:
        vectors: The rows, shape `(num_neurons, dim)`: unit length for
            `epsilon=0`, shorter otherwise.
        squared_norms: Their squared lengths, shape `(num_neurons, 1)`,
            exactly 1 (or 0 for a row without a direction) for `epsilon=0`.
        units: The rows `w / |w|`, shape `(num_neurons, dim)`.
        norm_scale, norm_factor: `sqrt(|w|**2 + epsilon)` is their product,
            each of shape `(num_neurons, 1)`; the product alone may overflow.
        shrinkage: `epsilon / (|w|**2 + epsilon)`, shape `(num_neurons, 1)`,
            or `None` for `epsilon=0`.
        is_valid: Boolean, shape `(num_neurons, 1)`: the row gets a gradient.
    """

    vectors: Tensor
    squared_norms: Tensor
    units: Tensor
    norm_scale: Tensor
    norm_factor: Tensor
    shrinkage: Tensor | None
    is_valid: Tensor

    @classmethod
    def of(cls, neurons: Tensor, epsilon: float) -> "Directions":
        """Returns the directions of float32 or float64 rows."""
        dtype = _numerics.computation_dtype(neurons)
        tiny = _numerics.smallest_normal(dtype)
        is_finite = ops.all(ops.isfinite(neurons), axis=-1, keepdims=True)
        neurons = ops.where(is_finite, neurons, 0.0)
        largest = ops.max(ops.abs(neurons), axis=-1, keepdims=True)
        if epsilon == 0.0:
            is_valid = ops.logical_and(is_finite, largest >= tiny)
            scale = ops.where(is_valid, largest, 1.0)
            scaled = ops.where(is_valid, neurons / scale, 0.0)
            squared = ops.sum(scaled * scaled, axis=-1, keepdims=True)
            factor = ops.sqrt(ops.where(is_valid, squared, 1.0))
            units = scaled / factor
            ones = ops.cast(is_valid, dtype)
            return cls(units, ones, units, scale, factor, None, is_valid)
        is_valid = is_finite
        root = max(math.sqrt(epsilon), tiny)
        scale = _numerics.at_least(largest, root)
        scaled = neurons / scale
        squared = ops.sum(scaled * scaled, axis=-1, keepdims=True)
        # Through its root: epsilon itself may be below the dtype's range.
        scaled_epsilon = ops.square(root / scale)
        factor = ops.sqrt(squared + scaled_epsilon)
        return cls(
            vectors=scaled / factor,
            squared_norms=squared / (factor * factor),
            units=scaled / ops.sqrt(_numerics.at_least(squared, tiny)),
            norm_scale=scale,
            norm_factor=factor,
            shrinkage=scaled_epsilon / (factor * factor),
            is_valid=is_valid,
        )

    def pull_back(self, gradient: Tensor) -> Tensor:
        """Turns a gradient by `vectors` into one by the original rows.

        `d vectors / d w = (I - u u^T + shrinkage u u^T) / norm` with the unit
        vector `u`. The part along `u` is removed twice: one pass leaves a
        rounding error as large as the last digit of the removed part, which
        dwarfs the rest for nearly equal neurons.
        """
        along = ops.sum(gradient * self.units, axis=-1, keepdims=True)
        tangent = gradient - along * self.units
        rest = ops.sum(tangent * self.units, axis=-1, keepdims=True)
        tangent = tangent - rest * self.units
        if self.shrinkage is not None:
            tangent = tangent + self.shrinkage * along * self.units
        by_row = tangent / self.norm_factor / self.norm_scale
        return ops.where(self.is_valid, _numerics.cut_gradient(by_row), 0.0)

"""Neurons of a kernel: which axes they are, their directions, and back."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import axes_of_rank


def neuron_columns(
    weights: Tensor, neuron_axis: int | tuple[int, ...]
) -> Tensor:
    """Reshapes a kernel of any rank to one column per neuron.

    Most kernels of Keras have their neurons on the last axis, and need no
    copy for it.

    Args:
        weights: Tensor of rank 2 or more.
        neuron_axis: The axis, or the axes in the order in which their
            indices are flattened (the first varies slowest), that count the
            neurons. All other axes, in their order, make up the vectors.

    Returns:
        Tensor of shape `(dim, num_neurons)`.

    Raises:
        ValueError: As `axes_of_rank`.
    """
    shape = ops.shape(weights)
    vector_axes, neuron_axes = _vector_and_neuron_axes(shape, neuron_axis)
    # Lists, because torch.compile does not follow a generator into `prod`.
    num_neurons = math.prod([shape[axis] for axis in neuron_axes])
    dim = math.prod([shape[axis] for axis in vector_axes])
    if isinstance(dim, int) and dim == 0:
        raise ValueError(
            "`weights` must hold vectors of at least one entry. "
            f"Received: weights.shape={tuple(shape)}, "
            f"neuron_axis={neuron_axis}."
        )
    order = [*vector_axes, *neuron_axes]
    if order == [0, 1]:
        return weights
    if order != list(range(len(shape))):
        weights = ops.transpose(weights, order)
    return ops.reshape(weights, (dim, num_neurons))


def kernel_of_columns(
    columns: Tensor,
    shape: tuple[int, ...],
    neuron_axis: int | tuple[int, ...],
) -> Tensor:
    """Reshapes columns to the kernel of a shape that `neuron_columns` made."""
    vector_axes, neuron_axes = _vector_and_neuron_axes(shape, neuron_axis)
    order = [*vector_axes, *neuron_axes]
    ordered = ops.reshape(columns, [shape[axis] for axis in order])
    if order == list(range(len(shape))):
        return ordered
    return ops.transpose(ordered, [order.index(k) for k in range(len(shape))])


def _vector_and_neuron_axes(
    shape: Any, neuron_axis: int | tuple[int, ...]
) -> tuple[list[int], tuple[int, ...]]:
    neuron_axes = axes_of_rank(neuron_axis, shape)
    vector_axes = [
        axis for axis in range(len(shape)) if axis not in neuron_axes
    ]
    return vector_axes, neuron_axes


@dataclass(frozen=True)
class Directions:
    """Columns `u = w / sqrt(|w|**2 + epsilon)` and what a gradient needs.

    Norms are taken after dividing each column by its largest entry, so
    columns of any norm that the dtype can hold have exact directions (without
    subnormal numbers, which count as zero on TensorFlow and JAX). A column of
    zeros has no direction; neither has one with an entry that is not finite.
    Both are stored as zeros, orthogonal to everything.

    Attributes:
        vectors: The columns, shape `(dim, num_neurons)`: unit length for
            `epsilon=0`, shorter otherwise.
        squared_norms: Their squared lengths, shape `(num_neurons,)`,
            exactly 1 (or 0 for a column without a direction) for `epsilon=0`.
        counts: 1 for a column whose pairs count, and 0 for a column of zeros
            if `epsilon=0`, shape `(num_neurons,)`.
        inverse_norms: `1 / sqrt(|w|**2 + epsilon)`, shape `(num_neurons,)`;
            0 for a column that gets no gradient.
        have_fixed_length: Whether the length does not depend on `w`.
    """

    vectors: Tensor
    squared_norms: Tensor
    counts: Tensor
    inverse_norms: Tensor
    have_fixed_length: bool

    @classmethod
    def of(cls, columns: Tensor, epsilon: float) -> "Directions":
        """Returns the directions of float32 or float64 columns."""
        dtype = _numerics.computation_dtype(columns)
        tiny = _numerics.smallest_normal(dtype)
        # Through its root: epsilon itself may be below the dtype's range.
        root = max(math.sqrt(epsilon), tiny) if epsilon > 0.0 else 0.0
        largest = _backend.largest_magnitudes(columns)
        # Its inverse may be below the dtype's range too.
        inverse_scale = _backend.at_least(
            1.0 / _backend.at_least(largest, max(root, tiny)), tiny
        )
        scaled = columns * inverse_scale
        # NaN if an entry is NaN or infinite, which `largest` may not show.
        squared = sum_of_entries(scaled * scaled)
        if epsilon == 0.0:
            # At least 1 unless all entries are zero, subnormal or bad.
            is_valid = (squared > 0.5) & (squared < math.inf)
            lengths = ops.cast(is_valid, dtype)
            counts = 1.0 - ops.cast(squared <= 0.5, dtype)
            total = squared
        else:
            is_valid = squared < math.inf
            scaled_root = root * inverse_scale
            total = squared + scaled_root * scaled_root
            lengths = ops.where(is_valid, squared / total, 0.0)
            counts = ops.ones_like(lengths)
        inverse = 1.0 / ops.sqrt(ops.where(is_valid, total, math.inf))
        return cls(
            vectors=_backend.multiply_no_nan(scaled, inverse),
            squared_norms=lengths,
            counts=counts,
            inverse_norms=_backend.multiply_no_nan(inverse_scale, inverse),
            have_fixed_length=epsilon == 0.0,
        )


def tangent(vectors: Tensor, gradient: Tensor) -> Tensor:
    """Projects a gradient by `Directions.vectors` on what `w` can change.

    `d u / d w = (I - u u^T) / sqrt(|w|**2 + epsilon)`; this multiplies with
    the numerator, and `Directions.inverse_norms` are left to do.
    """
    along = sum_of_entries(gradient * vectors)[..., None, :]
    return gradient - along * vectors


#: Of squares of scaled entries, and of gradients.
_ABOVE_ALL_SUMS = 3e38

#: Entries from which on a sum goes by parts, and the size of a part.
_LONG_SUM, _PART = 1024, 128


def sum_of_entries(columns: Tensor) -> Tensor:
    """Sums along axis -2; of long columns in parts, which rounds less.

    TensorFlow adds up a column entry by entry: of 100,000 like numbers the sum
    is then wrong in its fourth digit.
    """
    *leading, dim, size = ops.shape(columns)
    if not isinstance(dim, int) or dim < _LONG_SUM:
        return ops.sum(columns, axis=-2)
    num_parts = dim // _PART
    parts = ops.reshape(
        columns[..., : num_parts * _PART, :], (*leading, num_parts, _PART, size)
    )
    # Bounds that no sum reaches, or XLA would make one sum of two.
    sums = _backend.at_least(ops.sum(parts, axis=-2), -_ABOVE_ALL_SUMS)
    total = ops.sum(sums, axis=-2)
    return total + ops.sum(columns[..., num_parts * _PART :, :], axis=-2)


def float_tensor(weights: Tensor) -> Tensor:
    """Returns a float tensor of a variable, tensor or array; integers too."""
    weights = ops.convert_to_tensor(_backend.value_of(weights))
    if "float" in str(weights.dtype):
        return weights
    return ops.cast(weights, "float32")


def widened(columns: Tensor) -> Tensor:
    """Casts columns to the dtype of computations.

    What comes back to them as a gradient is added up in that dtype, and cut
    to what theirs can hold at last.
    """
    stored_dtype = keras.backend.standardize_dtype(columns.dtype)
    dtype = _numerics.computation_dtype(columns)
    if stored_dtype == dtype:
        return columns
    largest = _numerics.largest_gradient(stored_dtype)

    def forward(columns: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        def pull_back(upstream: Tensor) -> Tensor:
            return ops.cast(ops.clip(upstream, -largest, largest), stored_dtype)

        return ops.cast(columns, dtype), pull_back

    return _backend.with_gradient(forward, columns)


def unit_columns(columns: Tensor) -> Tensor:
    """Returns columns of length 1, differentiable by the columns.

    Args:
        columns: Float tensor, shape `(dim, N)`.

    Returns:
        `Directions.vectors` of the columns, float32 (float64 for float64
        columns). Columns that have no direction are zeros, without a
        gradient.
    """

    def forward(columns: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        directions = Directions.of(columns, 0.0)

        def pull_back(upstream: Tensor) -> Tensor:
            return _backend.multiply_and_cut(
                tangent(directions.vectors, upstream),
                directions.inverse_norms,
                _numerics.LARGEST_GRADIENT,
            )

        return directions.vectors, pull_back

    return _backend.with_gradient(forward, widened(columns))

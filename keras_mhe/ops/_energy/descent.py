"""Downhill on the spheres of the neurons: energy falls, norms stay."""

import math

import keras
import numpy as np
from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_groups, check_integer, check_real
from keras_mhe.ops._energy.energy_and_gradient import energy_and_slopes
from keras_mhe.ops._energy.gap import levels_of_living
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.neurons import (
    Directions,
    float_tensor,
    kernel_of_columns,
    neuron_columns,
)

#: Factors of the rate after a step that was not taken, and after one that was.
_SHORTER, _LONGER = 0.25, 2.0

#: Steps in a row that are not taken before a descent gives up.
_MOST_FAILURES = 20


def lower_energy(
    weights: Tensor,
    *,
    steps: int = 1,
    rate: float = 1.0,
    limit: float | None = None,
    gap: float | None = None,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
    block_size: int | str = "auto",
) -> Tensor:
    r"""Turns the neurons some steps down the slope of their energy.

    A step moves each direction against the gradient of the mean energy
    `e_i` of its own pairs and back to its sphere,

        u_i <- direction of (u_i - rate * de_i/du_i)

    and keeps the norms `|w_i|`. A step that would not lower the energy is not
    taken but tried again with a quarter of the rate; after one that did, the
    rate is doubled, up to `rate`. So the energy is never higher than before.

    Args:
        weights: Float tensor of rank 2 or more, the kernel.
        steps: Int >= 1, steps that are taken at most. Defaults to `1`.
        rate: Real number > 0, the first and largest rate. The slope `de_i/
            du_i` does not depend on the number of neurons. Defaults to `1.0`.
        limit: `None`, or a real number: no step is taken from an energy
            at or below it. Defaults to `None`.
        gap: `None`, or a real number >= 0: as `limit`, by its place between
            the minimum (0) and random directions (1) of as many neurons as
            have a direction. Defaults to `None`.
        power: As in `hyperspherical_energy`. Defaults to `2`.
        distance: As in `hyperspherical_energy`. Defaults to `"euclidean"`.
        half_space: As in `hyperspherical_energy`. Defaults to `False`.
        neuron_axis: As in `hyperspherical_energy`. Defaults to `-1`.
        groups: As in `hyperspherical_energy`. Defaults to `1`.
        block_size: As in `hyperspherical_energy`. Defaults to `"auto"`.

    Returns:
        Tensor of the shape and dtype of the weights, without a gradient.
        Where no step lowers the energy by more than its rounding error, as at
        a minimum, the weights are unchanged. Neurons without a direction
        (zeros, NaN, infinity) and those whose norm the dtype cannot hold
        stay as they are. Integers become float32.

    Raises:
        ValueError: If an argument is outside its range, or the kernel does
            not have the axes or groups.

    Numerics:
        Energies are those of the weights as they are stored, so a descent
        also holds in float16 and bfloat16, where small steps vanish in
        rounding. Equal neurons exert no force on each other and stay equal.
        Norms move by rounding, about 1e-7 of them in float32, however many
        steps there are.

        Cost: `1 + steps` energies with their gradients, and one for each step
        that was tried in vain. On PyTorch the host waits for the energy of
        each step; TensorFlow and JAX have the loop in their programs.

    Example:
        >>> import numpy as np
        >>> import keras_mhe
        >>> kernel = np.array([[1.0, 0.8], [0.0, 0.6]], "float32")
        >>> lower = keras_mhe.ops.lower_energy(kernel, steps=50)
        >>> round(float(keras_mhe.ops.hyperspherical_energy(lower)), 4)
        0.25

    References:
        Absil, Mahony and Sepulchre, "Optimization Algorithms on Matrix
        Manifolds", 2008, chapter 4: gradient steps on spheres with
        a retraction and backtracking.
    """
    form = EnergyForm(
        power, distance, half_space, neuron_axis, groups, block_size
    )
    steps = check_integer("steps", steps, at_least=1)
    rate = check_real("rate", rate, above=0)
    if limit is not None:
        limit = check_real("limit", limit, finite=False)
    if gap is not None:
        gap = check_real("gap", gap, at_least=0)
    return lowered(weights, form, steps, rate, limit, gap)


def lowered(
    weights: Tensor,
    form: EnergyForm,
    steps: int,
    rate: float,
    limit: float | None = None,
    gap: float | None = None,
) -> Tensor:
    """Does what `lower_energy` does, with checked arguments."""
    weights = ops.stop_gradient(float_tensor(weights))
    columns = neuron_columns(weights, form.neuron_axis)
    check_groups(form.groups, columns.shape[1])
    columns = _backend.as_one_program(
        _descend, columns, form, steps, rate, limit, gap
    )
    return kernel_of_columns(columns, weights.shape, form.neuron_axis)


def _descend(
    columns: Tensor,
    form: EnergyForm,
    steps: int,
    rate: float,
    limit: float | None,
    gap: float | None,
) -> Tensor:
    """Takes the steps; see `lower_energy`.

    Energies are those above orthogonal pairs, which have more digits.
    """
    energy, slopes, living = energy_and_slopes(columns, form, is_rise=True)
    dtype = energy.dtype
    lengths = _lengths(columns)
    smallest_gain = float(np.finfo(_numerics.computation_dtype(columns)).eps)
    orthogonal = form.potential.value(0.0)
    lowest = -math.inf if limit is None else limit - orthogonal
    if gap is not None and columns.shape[0] > 1:
        minimum, excess = levels_of_living(form, living, columns.shape[0])
        lowest = minimum + gap * excess
    num_neurons = ops.sum(living)

    def goes_on(
        columns: Tensor,
        energy: Tensor,
        slopes: Tensor,
        rate: Tensor,
        taken: Tensor,
        failed: Tensor,
    ) -> Tensor:
        # What the slope promises of the step, and what rounding would hide.
        gain = 2.0 * rate * ops.sum(slopes * slopes) / num_neurons
        is_open = ops.logical_and(taken < steps, failed < _MOST_FAILURES)
        is_above = ops.logical_and(
            energy > lowest,
            gain > smallest_gain * ops.abs(orthogonal + energy),
        )
        return ops.logical_and(is_open, is_above)

    def step(
        columns: Tensor,
        energy: Tensor,
        slopes: Tensor,
        rate: Tensor,
        taken: Tensor,
        failed: Tensor,
    ) -> tuple[Tensor, ...]:
        moved = _moved(columns, rate * slopes, lengths)
        new_energy, new_slopes, _ = energy_and_slopes(moved, form, is_rise=True)
        is_lower = new_energy < energy  # False for NaN.
        one = ops.ones_like(taken)
        return (
            ops.where(is_lower, moved, columns),
            ops.where(is_lower, new_energy, energy),
            ops.where(is_lower, new_slopes, slopes),
            ops.where(
                is_lower,
                ops.minimum(_LONGER * rate, first_rate),
                _SHORTER * rate,
            ),
            ops.where(is_lower, taken + one, taken),
            ops.where(is_lower, 0 * failed, failed + one),
        )

    first_rate = ops.cast(rate, dtype)
    # Floats: TensorFlow keeps integers in the host's memory.
    zero = ops.zeros((), dtype=dtype)
    result: Tensor = ops.while_loop(
        goes_on, step, (columns, energy, slopes, first_rate, zero, zero)
    )[0]
    return result


def _lengths(columns: Tensor) -> Tensor:
    """Norms of columns; 0 for those that have none, or none in the dtype."""
    dtype = _numerics.computation_dtype(columns)
    inverse = Directions.of(ops.cast(columns, dtype), 0.0).inverse_norms
    # The inverse of a smaller one may be infinite.
    smallest = _numerics.smallest_normal(dtype)
    if keras.backend.standardize_dtype(columns.dtype) == "float16":
        smallest = 1.0 / _numerics.LARGEST_HALF
    has_length = inverse > smallest
    return ops.where(has_length, 1.0 / ops.where(has_length, inverse, 1.0), 0.0)


def _moved(columns: Tensor, shift: Tensor, lengths: Tensor) -> Tensor:
    """Columns turned by a shift of their directions, of these lengths."""
    old = Directions.of(ops.cast(columns, shift.dtype), 0.0)
    new = Directions.of(old.vectors - shift, 0.0)
    has_both = ops.logical_and(lengths > 0.0, new.squared_norms > 0.0)
    return ops.where(
        has_both, ops.cast(lengths * new.vectors, columns.dtype), columns
    )

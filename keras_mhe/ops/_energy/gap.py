"""The energy of a kernel in units of its own levels."""

import math
from typing import Any

from keras import ops

from keras_mhe import _numerics
from keras_mhe._typing import Tensor
from keras_mhe.ops._energy.energy import energy_of
from keras_mhe.ops._levels.bounds import lowest_pair
from keras_mhe.ops._levels.random import mean_rise
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.indices import checked_indices
from keras_mhe.ops._pairs.neurons import (
    Directions,
    float_tensor,
    neuron_columns,
)


def hyperspherical_gap(
    weights: Tensor,
    *,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
    epsilon: float = 0.0,
    anchors: Tensor | None = None,
    others: Tensor | None = None,
    block_size: int | str = "auto",
) -> Tensor:
    """Where the energy of neurons lies between minimum (0) and random (1).

    `(E - E_min) / (E_random - E_min)` with the `hyperspherical_energy` `E`,
    its proven minimum and its level of random directions. It means the same
    for every layer, form and width, and its gradient is that of the energy
    times a constant.

    Args:
        weights: As for `hyperspherical_energy`.
        power: Real number in `[0, dim - 1)`. Defaults to `2`.
        distance: As for `hyperspherical_energy`; `"angular"` in half space
            only, since no minimum is proven in full space. Defaults to
            `"euclidean"`.
        half_space: As for `hyperspherical_energy`. Defaults to `False`.
        neuron_axis: As for `hyperspherical_energy`. Defaults to `-1`.
        groups: As for `hyperspherical_energy`. Defaults to `1`.
        epsilon: As for `hyperspherical_energy`. The levels are those of
            `epsilon=0`, so a gap of shortened neurons may be below 0.
            Defaults to `0.0`.
        anchors: As for `hyperspherical_energy`. Defaults to `None`.
        others: As for `hyperspherical_energy`. Defaults to `None`.
        block_size: As for `hyperspherical_energy`. Defaults to `"auto"`.

    Returns:
        Scalar tensor, float32 (float64 for float64 weights), differentiable
        once. 0 at the minimum, 1 for random directions, above 1 for neurons
        that are less diverse. With `anchors` or `others` the levels are those
        of all neurons: right in expectation, and possibly below 0 for one
        batch.

    Raises:
        ValueError: As `hyperspherical_energy`; for angles in full space; and
            for a `power` of `dim - 1` or more, where random directions have
            no finite energy.

    Numerics:
        Sums differences from orthogonal pairs, so wide layers, whose levels
        are nearly equal, keep their digits: the gap of 32 random neurons of
        dimension 25,088 is right to 1e-3. Neurons of zeros are not counted,
        and the levels are those of as many as live: dying never pays. With
        `others` the share of the drawn neurons that live stands for all.
        Fewer than two living neurons have the gap 0.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import hyperspherical_gap
        >>> float(hyperspherical_gap(np.eye(4, 3), half_space=True))
        0.0
    """
    form = EnergyForm(
        power,
        distance,
        half_space,
        neuron_axis,
        groups,
        block_size,
        epsilon,
        units="gap",
    )
    return gap_of(weights, form, anchors, others)


def measure_of(
    weights: Tensor,
    form: EnergyForm,
    anchors: Tensor | None = None,
    others: Tensor | None = None,
) -> Tensor:
    """The energy or the gap of a form, as its units say."""
    measure = gap_of if form.units == "gap" else energy_of
    return measure(weights, form, anchors, others)


def gap_of(
    weights: Tensor,
    form: EnergyForm,
    anchors: Tensor | None = None,
    others: Tensor | None = None,
) -> Tensor:
    """The `hyperspherical_gap` of a form, whose units are `"gap"`."""
    weights = float_tensor(weights)
    rise = energy_of(weights, form, anchors, others, potential=form.rise)
    columns = neuron_columns(ops.stop_gradient(weights), form.neuron_axis)
    dim, num_neurons = ops.shape(columns)
    if others is not None:
        others = checked_indices("others", others, num_neurons)
        columns = ops.take(columns, others, axis=1)
    living = living_neurons(columns, form)
    if others is not None:
        drawn = ops.cast(ops.shape(columns)[1], living.dtype)
        living = ops.round(living * ops.cast(num_neurons, drawn.dtype) / drawn)
    lowest, excess = levels_of_living(form, living, dim)
    # No neurons that meet have no energy, and 0 is their minimum.
    return (rise - lowest) / excess


def living_neurons(columns: Tensor, form: EnergyForm) -> Tensor:
    """Returns how many columns of each group count, shape `(groups,)`."""
    dtype = _numerics.computation_dtype(columns)
    directions = Directions.of(ops.cast(columns, dtype), form.epsilon)
    return ops.sum(ops.reshape(directions.counts, (form.groups, -1)), axis=-1)


def levels_of_living(
    form: EnergyForm,
    living: Tensor,
    dim: int,
    potential: Any = None,
    random: float = math.nan,
) -> tuple[Tensor, Tensor]:
    """Proven minimum, and what random directions have above it.

    Computed where they are needed, since neurons may die in training.

    Args:
        form: The energy.
        living: Neurons of each group that count, a float tensor of shape
            `(groups,)`; the levels are those of as many.
        dim: Int >= 2, dimension of the neurons.
        potential: `None` for the rise of the form, or what has the methods of
            a `Potential`: in full space convex in the cosine, in half space
            `f(c) + f(-c)` increasing and convex in its square.
        random: Its mean over pairs of random directions, with `potential`.

    Returns:
        Two scalar tensors: the minimum of the mean over all pairs of all
        groups, and the difference of the levels. 0 and 1 if no neurons meet.

    Raises:
        ValueError: If random directions have no finite energy.
    """
    if potential is None:
        potential, random = form.rise, mean_rise(form.potential, dim)
    if math.isinf(random):
        raise ValueError(
            "A gap needs a finite energy of random directions, so `power` "
            f"below {dim - 1}, the dimension of the neurons minus 1. Lower "
            '`power`, or do without a gap: a regularizer has `units="energy"`, '
            f"a constraint `limit`. Received: power={form.power}, dimension "
            f"{dim}."
        )
    meet = living > 1.0
    count = ops.where(meet, living, 2.0)

    def value(cosine: Tensor) -> Tensor:
        if isinstance(cosine, float):
            return potential.value(cosine)
        return potential.value_and_slope(cosine)[0]

    lowest = lowest_pair(form, count, dim, value, ops)
    excess = random - lowest
    pairs = count * (count - 1.0)
    if form.half_space:
        # Pairs of a neuron and its own opposite are the same for all.
        share = (2.0 * count - 2.0) / (2.0 * count - 1.0)
        own = potential.value(-1.0) / (2.0 * count - 1.0)
        lowest, excess = share * lowest + own, share * excess
        pairs = 2.0 * count * (2.0 * count - 1.0)
    pairs = ops.where(meet, pairs, 0.0)
    total = ops.sum(pairs)
    is_none = total == 0.0
    weights = pairs / ops.where(is_none, 1.0, total)
    return (
        ops.sum(weights * lowest),
        ops.sum(weights * excess) + ops.cast(is_none, living.dtype),
    )

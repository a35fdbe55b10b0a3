"""The largest holes between neurons: polarization and covering."""

from keras import ops

from keras_mhe._typing import Tensor
from keras_mhe._validation import check_boolean
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.groups import (
    grouped_units,
    have_direction,
    masked_mean,
)
from keras_mhe.ops._relatives.gaussian import GaussianPotential
from keras_mhe.ops._relatives.hole_search import HoleEnergy, lowest_energy


def polarization(
    weights: Tensor,
    *,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
    starts: int = 16,
    steps: int = 20,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
) -> Tensor:
    """Mean potential of the neurons where it is lowest; high is well spread.

        min over v of 1/N sum_i f(v, u_i)

    with the potential of `hyperspherical_energy`, mean over the groups: the
    neurons leave no direction `v` without potential.

    Args:
        weights: As in `hyperspherical_energy`.
        power: As in `hyperspherical_energy`. Defaults to `2`.
        distance: As in `hyperspherical_energy`. Defaults to `"euclidean"`.
        half_space: Bool. Whether the opposites of the neurons count too.
            Defaults to `False`.
        starts: Int >= 1, directions from which `v` is searched. Defaults to
            `16`.
        steps: Int >= 0, iterations in each Newton step of the best place; those
            of all searches have 0.15 times as many. Defaults to `20`.
        neuron_axis: As in `hyperspherical_energy`. Defaults to `-1`.
        groups: As in `hyperspherical_energy`. Defaults to `1`.

    Returns:
        Scalar float32 tensor (float64 for float64 weights): an upper bound of
        the minimum, exact where one of the searches finds it.

    Raises:
        ValueError: If an argument is outside its range, or the kernel does
            not have the axes or groups.

    Numerics:
        The searches begin at the same directions in each call, the best of
        `8 * starts` that are drawn once for a dimension, and take 5 Newton
        steps by conjugate gradients; the best place takes 4 longer ones. The
        gradient is that at the direction that was found, which by the envelope
        theorem is that of the minimum.

        Against searches in float64 from 100 places, in 294 random cases of 2
        to 200 dimensions and 2 to 500 neurons, 99.0 % of the searches find the
        deepest hole. The error of the gradient is 4e-7 of its norm in the
        median, below 1e-4 in 90 % and below 1e-3 in 95 % of the cases, and as
        large as the gradient where another hole is found. The command that
        prints this stands in `tests/ops/test_hole_search.py`.

        Angles have a kink at the opposite of a neuron: the gradient of a
        hole that ends in one, as among few neurons, lacks what it has by that
        neuron.

        Neurons of zeros, and those that contain NaN or infinity, have no
        direction. They are left out, as are groups without others.

        Cost: about 60 products of `starts x dim` by `dim x N`, and 180 of
        `1 x dim` by `dim x N`.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import polarization
        >>> both = np.array([[1.0, -1.0], [0.0, 0.0]], "float32")
        >>> round(float(polarization(both)), 3)
        0.5

    References:
        Liu et al., "Learning with Hyperspherical Uniformity", AISTATS 2021,
        arXiv:2103.01649 (MHP). Differs: their `v` is a variable
        of the model, one for each layer, which a second optimizer moves
        between the steps; here it is found anew, so the term is a function of
        the weights alone; directions, so that short neurons count as long.
    """
    form = EnergyForm(power, distance, half_space, neuron_axis, groups)
    units = grouped_units(weights, form.neuron_axis, form.groups)
    energy = HoleEnergy(form.potential, form.half_space)
    lowest = lowest_energy(units, energy, starts, steps)
    return masked_mean(lowest, ops.any(have_direction(units), axis=-1))


def covering(
    weights: Tensor,
    *,
    precision: float = 10.0,
    half_space: bool = False,
    starts: int = 16,
    steps: int = 20,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
) -> Tensor:
    """Squared distance of the loneliest direction; low is well spread.

        max over v of soft min over i of |v - u_i|**2,
        soft min = -1/t log mean_i exp(-t |v - u_i|**2),   t = precision

    mean over the groups. The soft minimum is at least the minimum, and at most
    `log(N) / t` above it, in half space `log(2N) / t`.

    Args:
        weights: As in `hyperspherical_energy`.
        precision: Real number in (0, 20], the `t`. Defaults to `10.0`.
        half_space: Bool. Whether the opposites of the neurons count too.
            Defaults to `False`.
        starts: As in `polarization`. Defaults to `16`.
        steps: As in `polarization`. Defaults to `20`.
        neuron_axis: As in `hyperspherical_energy`. Defaults to `-1`.
        groups: As in `hyperspherical_energy`. Defaults to `1`.

    Returns:
        Scalar float32 tensor (float64 for float64 weights), from 0 to 4: a
        lower bound of the maximum, exact where one of the searches finds it.

    Raises:
        ValueError: If an argument is outside its range, or the kernel does
            not have the axes or groups.

    Numerics:
        As in `polarization`.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import covering
        >>> both = np.array([[1.0, -1.0], [0.0, 0.0]], "float32")
        >>> round(float(covering(both)), 3)
        2.0

    References:
        Liu et al., "Learning with Hyperspherical Uniformity", AISTATS 2021,
        arXiv:2103.01649 (MHC); the soft minimum and its `t` are
        those of their program. Differs: as `polarization`.
    """
    potential = GaussianPotential(precision)
    half_space = check_boolean("half_space", half_space)
    units = grouped_units(weights, neuron_axis, groups)
    energy = HoleEnergy(potential, half_space)
    distances = -ops.log(lowest_energy(units, energy, starts, steps))
    distances = distances / potential.precision
    return masked_mean(distances, ops.any(have_direction(units), axis=-1))

"""Energies of random directions, and where an energy lies beside them."""

import math

import numpy as np

from keras_mhe import _validation
from keras_mhe.functional._bounds import (
    check_size,
    minimum_energy,
    with_antipodal_pairs,
)
from keras_mhe.functional._potentials import Potential


def random_energy(
    num_neurons: int,
    dim: int,
    *,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
) -> float:
    """Expected energy of independent, uniformly random directions.

    Args:
        num_neurons: Int >= 2. Matters in half space only, where the
            antipodal pairs are part of the mean.
        dim: Int >= 2, dimension of the vectors.
        power: Real number >= 0. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Defaults to `False`.

    Returns:
        Float. Infinite for `power >= dim - 1`, where the expectation
        diverges: there is no random level then.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> from keras_mhe.analysis import random_energy
        >>> round(random_energy(2, 8, power=2), 6)
        0.6
    """
    check_size(num_neurons, dim)
    potential = Potential(power=power, distance=distance)
    if potential.power >= dim - 1:
        return math.inf
    pair = _mean_over_sphere(potential, dim)
    if not _validation.boolean("half_space", half_space):
        return pair
    return with_antipodal_pairs(pair, num_neurons, potential)


def energy_gap(
    energy: float,
    num_neurons: int,
    dim: int,
    *,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
) -> float:
    """Where an energy lies between the minimum (0) and random (1).

    Args:
        energy: Float, as returned by `hyperspherical_energy`.
        num_neurons: Int >= 2.
        dim: Int >= 2, dimension of the vectors.
        power: Real number >= 0. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Defaults to `False`.

    Returns:
        Float: 0 at the bound of `minimum_energy`, 1 at the level of
        `random_energy`, above 1 for neurons less diverse than random ones.
        NaN where the random level is infinite.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> from keras_mhe.analysis import energy_gap
        >>> round(energy_gap(0.50087, 64, 576, power=2), 2)
        1.0
    """
    form = {"power": power, "distance": distance, "half_space": half_space}
    lowest = minimum_energy(num_neurons, dim, **form)  # type: ignore[arg-type]
    random = random_energy(num_neurons, dim, **form)  # type: ignore[arg-type]
    if math.isinf(random):
        return math.nan
    return (energy - lowest) / (random - lowest)


def _mean_over_sphere(potential: Potential, dim: int) -> float:
    """Mean of `f(c)` for two random unit vectors.

    Their angle has the density `sin(t)**(dim - 2)` on [0, pi]. With
    `t = pi / (1 + exp(-2 sinh(x)))` (the tanh-sinh rule) the sum over equal
    steps of `x` converges to rounding error although `f` is singular at 0.
    """
    steps = np.linspace(-6.0, 6.0, 2401)
    exponent = math.pi * np.sinh(steps)
    # The angle and its distance from pi, both without cancellation.
    angle = math.pi / (1.0 + np.exp(-exponent))
    rest = math.pi / (1.0 + np.exp(exponent))
    log_sine = np.log(np.sin(np.minimum(angle, rest)))
    log_step = np.log(angle) + np.log(rest) + np.log(np.cosh(steps))
    if potential.distance == "euclidean":
        log_distance = np.log(2.0 * np.sin(angle / 2.0))
    else:
        log_distance = np.log(angle)
    log_weight = (dim - 2) * log_sine + log_step
    shift = log_weight.max()
    total = np.exp(log_weight - shift).sum()
    if potential.power == 0.0:
        return float(-(np.exp(log_weight - shift) * log_distance).sum() / total)
    powered = np.exp(log_weight - shift - potential.power * log_distance).sum()
    return float(powered / total)

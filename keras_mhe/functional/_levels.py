"""Energies to compare with: of random directions, and proven minima."""

import math

import numpy as np

from keras_mhe import _validation
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
    _check_size(num_neurons, dim)
    potential = Potential(power=power, distance=distance)
    if potential.power >= dim - 1:
        return math.inf
    pair = _mean_over_sphere(potential, dim)
    if not _validation.boolean("half_space", half_space):
        return pair
    return _with_antipodal_pairs(pair, num_neurons, potential)


def minimum_energy(
    num_neurons: int,
    dim: int,
    *,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
) -> float:
    """Lower bound of the energy of any `num_neurons` directions.

    Full space, Euclidean: the simplex bound `f(c = -1/(N-1))` by Jensen's
    inequality, attained exactly when `num_neurons <= dim + 1`. The angular
    potentials are not convex in `c`, so there the value is that of the
    simplex and no proof. Half space: `f(c) + f(-c)` is increasing and convex
    in `c**2`, so orthogonal neurons are optimal for `num_neurons <= dim`, and
    the Welch bound `c**2 = (N-d) / (d (N-1))` holds beyond, attained by
    equiangular tight frames where they exist.

    Args:
        num_neurons: Int >= 2.
        dim: Int >= 2, dimension of the vectors.
        power: Real number >= 0. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Defaults to `False`.

    Returns:
        Float, the energy that no directions can beat; with angles in full
        space that of the simplex, which some can.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> from keras_mhe.analysis import minimum_energy
        >>> round(minimum_energy(64, 576, power=2), 5)
        0.49219
    """
    potential = Potential(power=power, distance=distance)
    cosine = optimal_cosine(num_neurons, dim, half_space=half_space)
    if not half_space:
        return potential.value(cosine)
    pair = (potential.value(cosine) + potential.value(-cosine)) / 2.0
    return _with_antipodal_pairs(pair, num_neurons, potential)


def optimal_cosine(
    num_neurons: int, dim: int, *, half_space: bool = False
) -> float:
    """Cosine of every pair in the arrangement behind `minimum_energy`.

    Args:
        num_neurons: Int >= 2.
        dim: Int >= 2, dimension of the vectors.
        half_space: Bool. Defaults to `False`.

    Returns:
        Float: that of the regular simplex, which exists for `num_neurons <=
        dim + 1`; in half space the size of the cosine, whose sign is free: 0
        for orthogonal neurons, or the Welch bound for more than `dim`.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> from keras_mhe.analysis import optimal_cosine
        >>> optimal_cosine(3, 2), optimal_cosine(3, 4, half_space=True)
        (-0.5, 0.0)
    """
    _check_size(num_neurons, dim)
    if not _validation.boolean("half_space", half_space):
        return -1.0 / (num_neurons - 1)
    excess = max(num_neurons - dim, 0)
    return math.sqrt(excess / (dim * (num_neurons - 1)))


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


def _check_size(num_neurons: int, dim: int) -> None:
    for name, value in (("num_neurons", num_neurons), ("dim", dim)):
        if _validation.positive_integer(name, value) < 2:
            raise ValueError(
                f"`{name}` must be an integer >= 2. Received: {name}={value}."
            )


def _with_antipodal_pairs(
    pair: float, num_neurons: int, potential: Potential
) -> float:
    """Mean over the `N(2N-1)` pairs of half space, `N` of them antipodal."""
    others = 2 * (num_neurons - 1)
    return (others * pair + potential.value(-1.0)) / (others + 1)


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

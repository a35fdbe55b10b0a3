"""Energies of random directions, and where an energy lies beside them."""

import functools
import math
from dataclasses import replace

import numpy as np

from keras_mhe.ops._levels.bounds import (
    check_size,
    lowest_mean,
    with_antipodal_pairs,
)
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.potentials import Potential


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
        Float, right to 1e-9 for up to 1e7 entries. Infinite for
        `power >= dim - 1`, where the expectation diverges: there is no random
        level then.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> from keras_mhe.analysis import random_energy
        >>> round(random_energy(2, 8, power=2), 6)
        0.6
    """
    check_size(num_neurons, dim)
    form = EnergyForm(power, distance, half_space)
    pair = form.potential.value(0.0) + mean_rise(form.potential, dim)
    if not form.half_space:
        return pair
    return with_antipodal_pairs(pair, num_neurons, form.potential.value)


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
        energy: Float, as returned by `hyperspherical_energy`. In wide layers
            the levels are nearly equal (in half space they differ by about
            `1 / dim`), so it takes float64 to tell a gap there.
        num_neurons: Int >= 2.
        dim: Int >= 2, dimension of the vectors.
        power: Real number >= 0. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Defaults to `False`.

    Returns:
        Float: 0 at the bound of `minimum_energy`, 1 at the level of
        `random_energy`, above 1 for neurons less diverse than random ones.
        NaN where the random level is infinite, or too small for a float.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> from keras_mhe.analysis import energy_gap
        >>> round(energy_gap(0.50087, 64, 576, power=2), 2)
        1.0
    """
    form = EnergyForm(power, distance, half_space)
    lowest, random = rises_of_levels(form, num_neurons, dim)
    if not 0.0 < random - lowest < math.inf:
        return math.nan
    minimum = lowest_mean(form, num_neurons, dim, form.potential.value)
    return (energy - minimum) / (random - lowest)


def rises_of_levels(
    form: EnergyForm, num_neurons: int, dim: int
) -> tuple[float, float]:
    """Minimum and random level above the energy of orthogonal pairs, `f(0)`.

    The levels of wide layers are nearly equal. Their difference has all its
    digits here, right to 1e-8 for up to 1e7 entries.

    Args:
        form: The energy.
        num_neurons: Int >= 2.
        dim: Int >= 2, dimension of the vectors.
    """
    rise = functools.partial(_rise, form.potential)
    lowest = lowest_mean(form, num_neurons, dim, rise)
    random = mean_rise(form.potential, dim)
    if form.half_space:
        random = with_antipodal_pairs(random, num_neurons, rise)
    return lowest, random


def _rise(potential: Potential, cosine: float) -> float:
    """Returns `f(c) - f(0)`, for `c < 1`."""
    bend = _log_bend(potential.distance, cosine)
    log_stretch = float(0.5 * math.log1p(-cosine) + bend)
    if potential.power == 0.0:
        return -log_stretch
    log_ratio = -potential.power * log_stretch
    share = math.copysign(math.expm1(-abs(log_ratio)), log_ratio)
    return share * potential.value(max(cosine, 0.0))


@functools.lru_cache(maxsize=256)
def mean_rise(potential: Potential, dim: int) -> float:
    """Mean of `f(c) - f(0)` for the cosine `c` of two random directions.

    With `c = tanh(v)` the density is `cosh(v)**(1 - dim)`, and with
    `v = 2 sinh(y) / sqrt(dim)` the sum over equal steps of `y` converges to
    rounding error: near 0 the steps follow the width of the density, and the
    last ones, where `1 - c` is below `exp(-1e16)`, are beyond all that counts
    even in a mean that nearly diverges.
    """
    power = potential.power
    if power >= dim - 1:
        return math.inf
    y = 0.01 * np.arange(-4500, 4501)
    v = 2.0 / math.sqrt(dim) * np.sinh(y)
    size = np.abs(v)
    # The logarithms of 1 - c and 1 + c, each with all its digits.
    log_minus = -(v + size) - np.log1p(0.5 * np.expm1(-2.0 * size))
    log_plus = log_minus[::-1]
    log_density = 0.5 * (dim - 1) * (log_minus + log_plus)
    bend = _log_bend(potential.distance, np.tanh(v))
    log_stretch = 0.5 * log_minus + bend
    weights = np.exp(log_density) * np.cosh(y)
    if power == 0.0:
        return float(-np.sum(weights * log_stretch) / np.sum(weights))
    log_ratio = -power * log_stretch
    # `density * max(1, f(c) / f(0))`, whose factors can leave the floats.
    log_largest = np.where(
        log_ratio > 0.0,
        0.5 * (dim - 1 - power) * log_minus
        + 0.5 * (dim - 1) * log_plus
        - power * bend,
        log_density,
    )
    log_orthogonal = power * replace(potential, power=0.0).value(0.0)
    rises = np.exp(log_largest + log_orthogonal) * np.copysign(
        np.expm1(-np.abs(log_ratio)), log_ratio
    )
    return float(np.sum(rises * np.cosh(y)) / np.sum(weights))


def _log_bend(distance: str, cosine: np.ndarray | float) -> np.ndarray | float:
    """How much longer the separation is than a chord; 0 at a right angle.

    Log of angle over chord, by that of a right angle, or 0 for the chord.
    """
    if distance == "euclidean":
        return 0.0
    by_turn = np.arccos(cosine) / math.tau
    bend: np.ndarray = np.log(np.sinc(0.25) / np.sinc(by_turn))
    return bend

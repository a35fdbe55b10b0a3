"""Energies that no directions are below, and the angles behind them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras_mhe._typing import Tensor
from keras_mhe._validation import check_boolean, check_integer
from keras_mhe.ops._pairs.form import EnergyForm


def minimum_energy(
    num_neurons: int,
    dim: int,
    *,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
) -> float:
    """Proven lower bound of the energy of `num_neurons` directions.

    That of `energy_bound`. With angles in full space, where none is proven,
    the energy of the simplex, which some directions can beat.

    Args:
        num_neurons: Int >= 2.
        dim: Int >= 2, dimension of the vectors.
        power: Real number >= 0. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Defaults to `False`.

    Returns:
        Float.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> from keras_mhe.analysis import minimum_energy
        >>> round(minimum_energy(64, 576, power=2), 5)
        0.49219
    """
    form = EnergyForm(power, distance, half_space)
    return lowest_mean(form, num_neurons, dim, form.potential.value)


@dataclass(frozen=True)
class EnergyBound:
    """An energy that no directions are below, by a proof.

    Attributes:
        energy: Float.
        arrangement: Whose energy it is: `"simplex"`, `"cross-polytope"`,
            `"orthogonal"` or `"equiangular"`.
        is_attained: Whether that arrangement exists for these numbers of
            neurons and dimensions; if not known, the minimum is there or
            above.

    Example:
        >>> from keras_mhe.analysis import energy_bound
        >>> energy_bound(4, 3).arrangement
        'simplex'
    """

    energy: float
    arrangement: str
    is_attained: bool


def energy_bound(
    num_neurons: int,
    dim: int,
    *,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
) -> EnergyBound | None:
    """The best proven lower bound of the energy that the library knows.

    Full space, Euclidean: the simplex bound `f(c = -1/(N-1))` by Jensen's
    inequality, attained exactly when `num_neurons <= dim + 1`, and for
    `num_neurons = 2 dim` the cross-polytope (orthogonal axes and their
    opposites; Cohn and Kumar 2007). The angular potentials are not convex in
    `c`, so more than two neurons have no bound there. Half space:
    `f(c) + f(-c)` is increasing and convex in `c**2`, so orthogonal neurons
    are optimal for `num_neurons <= dim`, and the Welch bound
    `c**2 = (N-d) / (d (N-1))` holds beyond, attained by equiangular tight
    frames where they exist.

    Args:
        num_neurons: Int >= 2.
        dim: Int >= 2, dimension of the vectors.
        power: Real number >= 0. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Defaults to `False`.

    Returns:
        An `EnergyBound`, or `None` where nothing is proven.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> from keras_mhe.analysis import energy_bound
        >>> energy_bound(64, 576).is_attained, energy_bound(64, 16).is_attained
        (True, False)
        >>> energy_bound(64, 576, distance="angular") is None
        True

    References:
        Cohn and Kumar, "Universally optimal distribution of points on
        spheres", Journal of the AMS 20, 2007, arXiv:math/0607446.
    """
    return bound_of(EnergyForm(power, distance, half_space), num_neurons, dim)


def bound_of(
    form: EnergyForm, num_neurons: int, dim: int
) -> EnergyBound | None:
    """The `energy_bound` of a form."""
    energy = lowest_mean(form, num_neurons, dim, form.potential.value)
    if form.half_space:
        is_attained = num_neurons <= dim
        name = "orthogonal" if is_attained else "equiangular"
        return EnergyBound(energy, name, is_attained)
    if form.distance == "angular" and num_neurons > 2:
        return None
    if num_neurons == 2 * dim:
        return EnergyBound(energy, "cross-polytope", True)
    return EnergyBound(energy, "simplex", num_neurons <= dim + 1)


def lowest_mean(
    form: EnergyForm,
    num_neurons: int,
    dim: int,
    value: Callable[[float], float],
) -> float:
    """Mean over the pairs of the arrangement behind `minimum_energy`.

    Args:
        form: The energy.
        num_neurons: Int >= 2.
        dim: Int >= 2.
        value: Of a pair, by its cosine.
    """
    check_size(num_neurons, dim)
    pair: float = lowest_pair(form, num_neurons, dim, value)
    if form.half_space:
        return with_antipodal_pairs(pair, num_neurons, value)
    return pair


def lowest_pair(
    form: EnergyForm,
    num_neurons: Tensor,
    dim: int,
    value: Callable[[Tensor], Tensor],
    xp: Any = math,
) -> Tensor:
    """Mean over the pairs of `lowest_mean`, without antipodal ones.

    Args:
        form: The energy.
        num_neurons: A number >= 2, or a float tensor of such numbers.
        dim: Int >= 2.
        value: Of a pair, by its cosine; in half space the mean over a cosine
            and its opposite is taken of it.
        xp: Namespace of the functions, `math` or `keras.ops`.
    """
    if form.half_space:
        cosine = _welch_cosine(num_neurons, dim, xp)
        return (value(cosine) + value(-cosine)) / 2.0
    simplex = value(-1.0 / (num_neurons - 1))
    if form.distance != "euclidean":
        return simplex
    # Of 2 dim neurons the cross-polytope is the optimum.
    cross = with_antipodal_pairs(value(0.0), dim, value)
    if xp is math:
        return cross if num_neurons == 2 * dim else simplex
    return xp.where(xp.equal(num_neurons, 2.0 * dim), cross, simplex)


def optimal_cosine(
    num_neurons: int, dim: int, *, half_space: bool = False
) -> float:
    """The largest cosine of two neurons cannot be below this.

    It is the cosine of every pair of the simplex, in half space of orthogonal
    or equiangular neurons.

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
    check_size(num_neurons, dim)
    if not check_boolean("half_space", half_space):
        return -1.0 / (num_neurons - 1)
    return float(_welch_cosine(num_neurons, dim, math))


def _welch_cosine(num_neurons: Tensor, dim: int, xp: Any) -> Tensor:
    """Welch's bound of the largest cosine; 0 for up to `dim` neurons."""
    excess = num_neurons - dim
    excess = (excess + abs(excess)) / 2  # At least 0.
    return xp.sqrt(excess / (dim * (num_neurons - 1)))


def check_size(num_neurons: int, dim: int) -> None:
    """Raises if there are fewer than two neurons or entries."""
    for name, value in (("num_neurons", num_neurons), ("dim", dim)):
        check_integer(name, value, at_least=2)


def with_antipodal_pairs(
    pair: float, num_neurons: int, value: Callable[[float], float]
) -> float:
    """Mean over the `N(2N-1)` pairs of half space, `N` of them antipodal."""
    others = 2 * (num_neurons - 1)
    return (others * pair + value(-1.0)) / (others + 1)

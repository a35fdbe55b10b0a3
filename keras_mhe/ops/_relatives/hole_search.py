"""Search for the direction whose mean energy with neurons is lowest."""

import functools
import math
from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_integer
from keras_mhe.ops._pairs.groups import have_direction
from keras_mhe.ops._pairs.neurons import tangent
from keras_mhe.ops._pairs.potentials import Potential
from keras_mhe.ops._relatives.gaussian import GaussianPotential

#: Random directions for each search, which begins at the best of them.
_DRAWS = 8

#: Newton steps of each search, and the share of `steps` that each takes.
_FIRST_STEPS, _FIRST_SHARE = 5, 0.15

#: Newton steps from the best place that the searches found.
_LAST_STEPS = 4

#: Multiples of a Newton step, of which the best is taken, and the longest
#: step, in radians.
_MULTIPLES, _LONGEST_STEP = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0), 0.5

#: Heights so many machine epsilons apart may differ by rounding alone.
_NOISE = 200.0

#: Second derivatives are differences over this share of `1 - c**2`.
_SHIFT = 0.01

#: Keeps quotients of zeros at zero.
_TINY = 1e-30

#: Seed of the directions from which all searches start.
_SEED = 2103


@dataclass(frozen=True)
class HoleEnergy:
    """Energy of a direction with a neuron, by their cosine.

    Attributes:
        potential: That of two unit vectors.
        half_space: Whether it is the mean over the neuron and its opposite.
    """

    potential: Potential | GaussianPotential
    half_space: bool

    def value_and_slope(self, cosines: Tensor) -> tuple[Tensor, Tensor]:
        """Returns value and slope, elementwise."""
        if not self.half_space:
            return self.potential.value_and_slope(cosines)
        value, slope = self.potential.value_and_slope_of_lines(cosines)
        return 0.5 * value, 0.5 * slope

    @property
    def is_positive(self) -> bool:
        """Whether all values are positive."""
        return self.potential.value(-1.0) > 0.0


def lowest_energy(
    units: Tensor, energy: HoleEnergy, starts: int, steps: int
) -> Tensor:
    """The lowest mean energy of a direction with the columns of each group.

    Args:
        units: Columns of length 1, or of zeros, which do not count; shape
            `(groups, dim, size)`.
        energy: That of a direction with a column.
        starts: Number of searches.
        steps: Iterations of a Newton step at the end.

    Returns:
        Tensor of shape `(groups,)`, differentiable by `units` once. Where no
        column counts, the energy of orthogonal vectors.
    """
    starts = check_integer("starts", starts, at_least=1)
    steps = check_integer("steps", steps, at_least=0)
    constant = ops.stop_gradient(units)
    lowest, gradient = _backend.as_one_program(
        _lowest, constant, energy, starts, steps
    )
    # Adds 0, which has the gradient.
    return lowest + ops.sum(gradient * (units - constant), axis=(1, 2))


def _lowest(
    units: Tensor, energy: HoleEnergy, starts: int, steps: int
) -> tuple[Tensor, Tensor]:
    """Returns the lowest energies, and their gradients by `units`."""
    counts = have_direction(units)
    has_none = ops.logical_not(ops.any(counts, axis=-1, keepdims=True))
    counts = ops.cast(ops.logical_or(counts, has_none), units.dtype)
    shares = (counts / ops.sum(counts, axis=-1, keepdims=True))[:, None, :]
    field = _Field(units, shares, energy)
    _, dim, size = units.shape
    if energy.half_space and size < dim:
        # A direction is orthogonal to all of them, and none has less energy.
        # Zeros have the same cosines.
        place = ops.zeros_like(units[:, :, :1])
    else:
        place = _search(field, starts, steps)
    cosines = field.cosines(place)
    values, slopes = energy.value_and_slope(cosines)
    gradient = _backend.matmul(place, shares * slopes)
    return ops.sum(shares * values, axis=(1, 2)), gradient


@dataclass(frozen=True)
class _Field:
    """Mean energy of places with the columns of their group.

    Attributes:
        units: Shape `(groups, dim, size)`.
        shares: Of each column in the mean, shape `(groups, 1, size)`.
        energy: That of a place with a column.
    """

    units: Tensor
    shares: Tensor
    energy: HoleEnergy

    def cosines(self, places: Tensor) -> Tensor:
        """Maps `(groups, dim, places)` to `(groups, places, size)`."""
        return _backend.matmul(places, self.units, transpose_first=True)

    def sum(self, factors: Tensor) -> Tensor:
        """Returns sums of the columns times `(groups, places, size)`."""
        return _backend.matmul(self.units, factors, transpose_second=True)

    def height(self, cosines: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns heights of places, weights and slopes of their cosines.

        The height is the mean energy, or its logarithm if it has one, which
        has slopes of a moderate size everywhere. Its derivative by a cosine is
        the product of weight and slope.
        """
        values, slopes = self.energy.value_and_slope(cosines)
        height = ops.sum(self.shares * values, axis=-1)
        if not self.energy.is_positive:
            return height, self.shares, slopes
        return ops.log(height), self.shares / height[..., None], slopes

    def bends(self, cosines: Tensor) -> Tensor:
        """Returns the derivatives of the slopes."""
        shift = _SHIFT * _backend.at_least(1.0 - cosines * cosines, _SHIFT**2)
        _, above = self.energy.value_and_slope(cosines + shift)
        _, below = self.energy.value_and_slope(cosines - shift)
        return (above - below) / (2.0 * shift)


def _search(field: _Field, starts: int, steps: int) -> Tensor:
    """Returns the best direction that is found, shape `(groups, dim, 1)`."""
    groups, dim, _ = field.units.shape
    drawn = _backend.constant(_drawn, dim, _DRAWS * starts)
    places = ops.convert_to_tensor(drawn, dtype=field.units.dtype)
    places = ops.broadcast_to(places, (groups, *drawn.shape))
    for count, newton_steps, share in (
        (starts, _FIRST_STEPS, _FIRST_SHARE),
        (1, _LAST_STEPS, 1.0),
    ):
        places = _lowest_places(field, places, count)
        iterations = math.ceil(share * steps)
        step = functools.partial(_moved, field, iterations)
        (places,) = _backend.repeat(newton_steps, step, (places,))
    return places


def _lowest_places(field: _Field, places: Tensor, count: int) -> Tensor:
    """Returns the lowest place of each of so many heats."""
    groups, dim, size = places.shape
    height, _, _ = field.height(field.cosines(places))
    height = ops.reshape(height, (groups, count, size // count))
    places = ops.reshape(places, (groups, dim, count, size // count))
    wins = ops.one_hot(ops.argmin(height, axis=-1), size // count)
    return ops.sum(places * ops.cast(wins, places.dtype)[:, None], axis=-1)


@functools.lru_cache(maxsize=16)
def _drawn(dim: int, count: int) -> np.ndarray:
    """Unit vectors, the same for all searches in a dimension."""
    generator = np.random.default_rng((_SEED, dim))
    drawn = generator.standard_normal((dim, count), "float32")
    drawn /= np.linalg.norm(drawn, axis=0)
    drawn.setflags(write=False)
    return drawn


def _moved(field: _Field, iterations: int, places: Tensor) -> tuple[Tensor]:
    """Moves places by a Newton step, each along a great circle."""
    cosines = field.cosines(places)
    turn = _newton_turn(field, iterations, places, cosines)
    return (_turned(field, places, cosines, turn),)


def _newton_turn(
    field: _Field, iterations: int, places: Tensor, cosines: Tensor
) -> Tensor:
    """Returns Newton's step in the tangent planes, by conjugate gradients.

    Where the height bends down along one of them, as if it bent up as much.
    """
    _, weights, slopes = field.height(cosines)
    bends = weights * field.bends(cosines)
    gradient = field.sum(weights * slopes)
    radial = _dot(gradient, places)
    downhill = -tangent(places, gradient)

    def iterate(
        turn: Tensor, residual: Tensor, way: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        bent = field.sum(bends * field.cosines(way))
        bent = tangent(places, bent) - radial * way
        squared = _dot(residual, residual)
        rate = squared / (_dot(way, bent) + _TINY)
        residual = residual - rate * bent
        growth = _dot(residual, residual) / (squared + _TINY)
        return turn + abs(rate) * way, residual, residual + growth * way

    state = (ops.zeros_like(places), downhill, downhill)
    turn: Tensor = _backend.repeat(iterations, iterate, state)[0]
    # Off the tangent plane by rounding, which near a minimum is much.
    return tangent(places, turn)


def _turned(
    field: _Field, places: Tensor, cosines: Tensor, turn: Tensor
) -> Tensor:
    """Turns places by the best multiple of a step."""
    length = ops.sqrt(_dot(turn, turn))
    # Zeros where it has run away, in a field without bends.
    turn = ops.where(length < math.inf, turn / (length + _TINY), 0.0)
    length = ops.where(length < _LONGEST_STEP, length, _LONGEST_STEP)
    multiples = ops.convert_to_tensor(_MULTIPLES, dtype=places.dtype)
    angles = multiples[:, None, None] * length[:, 0, :]
    cosine = _backend.cosine(angles)[..., None]
    sine = _backend.sine(angles)[..., None]
    across = field.cosines(turn)
    height, weights, slopes = field.height(cosine * cosines + sine * across)
    # Near a minimum heights differ by rounding alone, but slopes do not.
    slopes = weights * slopes * (cosine * across - sine * cosines)
    slope = abs(ops.sum(slopes, axis=-1))
    epsilon = float(np.finfo(_numerics.computation_dtype(places)).eps)
    doubt = _NOISE * epsilon * slope / (ops.max(slope, axis=0) + _TINY)
    best = ops.take(multiples, ops.argmin(height + doubt, axis=0))
    angle = best[:, None, :] * length
    places = _backend.cosine(angle) * places + _backend.sine(angle) * turn
    return places / ops.sqrt(_dot(places, places))


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """Returns the products of columns, with an axis of size 1 for them."""
    return ops.sum(first * second, axis=-2, keepdims=True)

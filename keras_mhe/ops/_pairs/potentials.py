"""Potentials: the energy of one pair as a function of its cosine.

Every form of the energy, published or our own, is a `Potential`. It returns
value and derivative together, so nothing in the library differentiates
through `arccos`, `log` or a negative power.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import DISTANCES, check_choice, check_real

#: Maps cosines to the values of the pairs' energy and to its slopes.
PairEnergy = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Potential:
    r"""Energy `f(c)` of two unit vectors with cosine `c`.

    With the separation

        q = r**2 + offset,    r = |u - v| = sqrt(2 - 2c)    (euclidean)
        q = scale * t + offset,              t = arccos(c)    (angular)

    the potential is `q**(-power/2)` (euclidean) or `q**(-power)` (angular),
    and for `power=0` its logarithmic limit `-log(q)/2` or `-log(q)`. Without
    offset and scale these are `r**-s`, `t**-s`, `-log r` and `-log t`, the
    potentials of the paper.

    Numerics:
        Pairs nearer than a resolution (see `_numerics.resolution`) count as
        equal: the potential is that of `_numerics.equal_distance`, its
        derivative is 0, since a direction from one to the other does not
        exist. The angular derivative is also 0 for vectors that are opposite
        within the resolution. Where `f` exceeds 1e15 (powers above 5 only, in
        float64 above 2) it is continued by its tangent.

    Attributes:
        power: Float >= 0, no unit. 0 is the logarithm.
        distance: `"euclidean"` or `"angular"`.
        scale: Float > 0. Factor of the angle; 1 measures in radians.
        offset: Float >= 0. Added to `r**2` or to the scaled angle.
        is_rise: Whether values are `f(c) - f(0)`, what a pair has more than
            an orthogonal one, with all digits where that is little. Only
            without scale and offset.
    """

    power: float = 2.0
    distance: str = "euclidean"
    scale: float = 1.0
    offset: float = 0.0
    is_rise: bool = False

    def __post_init__(self) -> None:
        power = check_real("power", self.power, at_least=0)
        object.__setattr__(self, "power", power)
        check_choice("distance", self.distance, DISTANCES)

    def value(self, cosine: float) -> float:
        """Returns the value at one number in [-1, 1], in float64."""
        if self.is_rise:
            plain = dataclasses.replace(self, is_rise=False)
            return plain.value(cosine) - plain.value(0.0)
        return float(self.value_and_slope(float(cosine), xp=_Floats)[0])

    def value_and_slope(
        self, cosine: Tensor, floor: float | None = None, xp: Any = ops
    ) -> tuple[Tensor, Tensor]:
        """Returns `f(c)` and `df/dc`, elementwise.

        Args:
            cosine: Float32 or float64 tensor in [-1, 1] up to rounding.
            floor: The smallest `r**2` told apart from 0; `None` for that of
                short vectors.
            xp: Namespace of the functions, `keras.ops` or `_Floats`.
        """
        equal = _equal_distance(cosine, xp)
        floor = equal if floor is None else floor
        if self.distance == "angular":
            angle, sine, is_resolved = angle_and_sine(cosine, floor, xp)
            angle = _snapped(angle, math.sqrt(floor), math.sqrt(equal), xp)
            value, by_angle = self._of_angle(angle, cosine, sine, equal, xp)
            return value, xp.where(is_resolved, -by_angle / sine, 0.0)
        squared = 2.0 - 2.0 * cosine
        is_resolved = squared > floor
        squared = _snapped(squared, floor, equal, xp)
        value, by_squared = self._of_squared(squared, cosine, equal, xp)
        return value, xp.where(is_resolved, -2.0 * by_squared, 0.0)

    def value_and_slope_of_lines(
        self, cosine: Tensor, floor: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns `f(c) + f(-c)` and its derivative, elementwise.

        The energy of one vector with another and with its opposite, from one
        cosine. Lines nearer than the resolution count as equal.
        """
        equal = _equal_distance(cosine, ops)
        floor = equal if floor is None else floor
        if self.distance == "angular":
            # Even in c: the angle below 90 degrees has all its digits.
            size = abs(cosine)
            angle, sine, is_resolved = angle_and_sine(size, floor, ops)
            angle = _snapped(angle, math.sqrt(floor), math.sqrt(equal), ops)
            value, by_angle = self._of_angle(angle, size, sine, equal, ops)
            other, by_other = self._of_angle(
                math.pi - angle, -size, sine, equal, ops
            )
            slope = ops.sign(cosine) * (by_other - by_angle) / sine
            return value + other, ops.where(is_resolved, slope, 0.0)
        squared_sine = (1.0 - cosine) * (1.0 + cosine)
        # Those of two vectors whose squared distance is `floor`, or `equal`.
        smallest, equal_sine = (
            squared * (1.0 - squared / 4.0) for squared in (floor, equal)
        )
        is_resolved = squared_sine > smallest
        if self.offset == 0.0 and self.power in (0.0, 2.0):
            squared_sine = _snapped(squared_sine, smallest, equal_sine, ops)
            value, slope = self._of_squared_sine(squared_sine, cosine)
            return value, ops.where(is_resolved, slope, 0.0)
        size = abs(cosine)
        near = ops.where(is_resolved, 2.0 - 2.0 * size, equal)
        value, by_near = self._of_squared(near, size, equal, ops)
        other, by_far = self._of_squared(4.0 - near, -size, equal, ops)
        slope = 2.0 * ops.sign(cosine) * (by_far - by_near)
        return value + other, ops.where(is_resolved, slope, 0.0)

    def _of_squared_sine(
        self, squared_sine: Tensor, cosine: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Lines by `1 - c**2`, powers 0 and 2 only, with few operations."""
        inverse = 1.0 / squared_sine
        slope = cosine * inverse
        if self.power == 2.0:
            value = cosine * slope if self.is_rise else inverse
            return value, 2.0 * slope * inverse
        if not self.is_rise:
            return -0.5 * ops.log(4.0 * squared_sine), slope
        square = cosine * cosine
        is_far = square < 0.5
        far = ops.log1p(-ops.where(is_far, square, 0.0))
        value = -0.5 * ops.where(is_far, far, ops.log(squared_sine))
        return value, slope

    def _of_squared(
        self, squared: Tensor, cosine: Tensor, smallest: float, xp: Any
    ) -> tuple[Tensor, Tensor]:
        """Returns `f` and its derivative by the squared distance."""
        exponent = self.power / 2.0
        value, slope = self._radial(squared, smallest, exponent, 0.5, xp)
        if self.is_rise:
            value = self._rise(value, cosine, cosine)
        return value, slope

    def _of_angle(
        self, angle: Tensor, cosine: Tensor, sine: Tensor, equal: float, xp: Any
    ) -> tuple[Tensor, Tensor]:
        """Returns `f` and its derivative by the angle."""
        smallest = self.scale * math.sqrt(equal)
        if self.scale != 1.0:
            angle = self.scale * angle
        value, by_scaled = self._radial(angle, smallest, self.power, 1.0, xp)
        if self.is_rise:
            # The complement of the angle has its own digits near zero.
            part = _backend.arctan2(cosine, sine) * (2.0 / math.pi)
            value = self._rise(value, part, cosine)
        return value, by_scaled if self.scale == 1.0 else self.scale * by_scaled

    def _rise(self, value: Tensor, part: Tensor, cosine: Tensor) -> Tensor:
        """Returns `f(c) - f(0)`; `1 - part` is the separation by that at 0.

        Near pairs are so far above that the difference has its digits.
        """
        orthogonal = dataclasses.replace(self, is_rise=False).value(0.0)
        is_far = cosine < 0.5
        log_ratio = ops.log1p(-ops.where(is_far, part, 0.0))
        exponent = (
            self.power if self.distance == "angular" else self.power / 2.0
        )
        if exponent > 0.0:
            far = orthogonal * ops.expm1(-exponent * log_ratio)
        else:
            far = log_ratio * (-1.0 if self.distance == "angular" else -0.5)
        return ops.where(is_far, far, value - orthogonal)

    def _radial(
        self,
        separation: Tensor,
        smallest: float,
        exponent: float,
        log_factor: float,
        xp: Any,
    ) -> tuple[Tensor, Tensor]:
        """Returns `q**-exponent` or `-log_factor log q`, and `d/dq` of it.

        `smallest` is a lower bound of `separation`, which lacks the offset.
        """
        if self.offset > 0.0:
            separation = separation + self.offset
        if exponent == 0.0:
            return -log_factor * xp.log(separation), -log_factor / separation
        # q**-exponent reaches LARGEST_POTENTIAL here.
        nearest = _numerics.LARGEST_POTENTIAL ** (-1.0 / exponent)
        if smallest + self.offset >= nearest:
            value = _inverse_power(separation, exponent, xp)
            return value, -exponent * value / separation
        clamped = _at_least(separation, nearest, xp)
        value = _inverse_power(clamped, exponent, xp)
        slope = -exponent * value / clamped
        return value + slope * (separation - clamped), slope


def angle_and_sine(
    cosine: Tensor, floor: float = 0.0, xp: Any = ops
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns angle, sine (at least `sqrt(floor)`), and which are resolved.

    The angle is that of `arccos`, with all digits near both ends.
    """
    arctan2 = math.atan2 if xp is _Floats else _backend.arctan2
    sine_of_half = xp.sqrt(_at_least(1.0 - cosine, 0.0, xp))
    cosine_of_half = xp.sqrt(_at_least(1.0 + cosine, 0.0, xp))
    angle = 2.0 * arctan2(sine_of_half, cosine_of_half)
    sine = sine_of_half * cosine_of_half
    smallest = math.sqrt(floor)
    return angle, _at_least(sine, smallest, xp), sine > smallest


def _equal_distance(cosine: Tensor, xp: Any) -> float:
    if xp is _Floats:
        return _numerics.equal_distance("float64")
    return _numerics.equal_distance(_numerics.computation_dtype(cosine))


def _snapped(tensor: Tensor, floor: float, equal: float, xp: Any) -> Tensor:
    """Replaces entries up to `floor` by `equal`, which is not above it."""
    if floor == equal:
        return _at_least(tensor, equal, xp)
    return xp.where(tensor > floor, tensor, equal)


def _at_least(tensor: Tensor, bound: float, xp: Any) -> Tensor:
    return (max if xp is _Floats else _backend.at_least)(tensor, bound)


class _Floats:
    """What `keras.ops` has for tensors, for a Python number.

    Not NumPy, by which `torch.compile` stops.
    """

    log = staticmethod(math.log)
    sqrt = staticmethod(math.sqrt)

    @staticmethod
    def where(condition: bool, value: float, other: float) -> float:
        """Returns one of two numbers."""
        return value if condition else other


def _inverse_power(base: Tensor, exponent: float, xp: Any) -> Tensor:
    """Returns `base**-exponent`, the common exponents without `power`."""
    if exponent == 0.5:
        return 1.0 / xp.sqrt(base)
    if exponent == 1.0:
        return 1.0 / base
    if exponent == 2.0:
        return 1.0 / (base * base)
    # Not ops.power, whose exponent is a float32 on PyTorch.
    return base**-exponent

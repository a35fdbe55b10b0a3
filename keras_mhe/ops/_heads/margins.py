"""Angular margins: what a head makes of the cosine of a sample's own class.

Each gives value and slope as functions of the cosine, so nothing in the
library differentiates through `arccos`. `_with_slope` joins the two.
"""

import math

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_real
from keras_mhe.ops._pairs.potentials import angle_and_sine


def additive_cosine_margin(cosine: Tensor, margin: float) -> Tensor:
    """CosFace's margin: `cos t - margin`.

    Args:
        cosine: Float tensor of any shape, cosines in [-1, 1] of the angles
            `t` between features and the vectors of their own classes.
        margin: Real number >= 0, no unit.

    Returns:
        Tensor of the same shape, in `[-1 - margin, 1 - margin]`; float32
        (float64 for float64 cosines).

    Raises:
        ValueError: If `margin` is negative or not finite.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import additive_cosine_margin
        >>> float(additive_cosine_margin(np.array(0.75), 0.25))
        0.5

    References:
        Wang et al., "CosFace", CVPR 2018, arXiv:1801.09414, equation 4.
    """
    margin = check_real("margin", margin, at_least=0)
    return _in_computation_dtype(cosine) - margin


def additive_angular_margin(
    cosine: Tensor, margin: float, *, gradient_detachment: bool = False
) -> Tensor:
    """ArcFace's margin: `cos(t + margin)` of the angle with cosine `cos t`.

    Where `t + margin` exceeds pi, the cosine would grow again. There the
    value is `cos t - margin sin(margin)`, which falls on, after a step down
    at that angle, as in the programs of the authors.

    Args:
        cosine: Float tensor of any shape, cosines in [-1, 1] up to rounding.
        margin: Real number in [0, pi / 2], radians.
        gradient_detachment: Bool. Whether the gradient is that of `cos t`
            ("characteristic gradient detachment"). Defaults to `False`.

    Returns:
        Tensor of the same shape; float32 (float64 for float64 cosines).

    Raises:
        ValueError: If `margin` is outside its range.

    Numerics:
        The slope by the cosine, `sin(t + margin) / sin t`, grows without
        bound towards `t = 0`. Nearer to an end than 1.4e-3 radians (float32;
        6e-8 in float64) it is that of the nearest angle outside, at most
        725 in float32. The gradient by a feature has `sin t` as a factor and
        is bounded by that of the scale.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import additive_angular_margin
        >>> cosine = np.array(np.cos(0.5), "float32")
        >>> margin = additive_angular_margin(cosine, 0.25)
        >>> bool(abs(float(margin) - np.cos(0.75)) < 1e-6)
        True

    References:
        Deng et al., "ArcFace", CVPR 2019, arXiv:1801.07698, equation 3;
        insightface's code for `t + margin > pi`. Detachment: Liu et al.,
        "SphereFace Revived", arXiv:2109.05565.
    """
    margin = check_real("margin", margin, at_least=0.0, at_most=math.pi / 2)
    cosine = _in_computation_dtype(cosine)
    constant = ops.stop_gradient(cosine)
    angle = _angle(constant)
    is_inside = angle <= math.pi - margin
    value = ops.where(
        is_inside,
        _backend.cosine(angle + margin),
        constant - margin * math.sin(margin),
    )
    resolved = _away_from_ends(angle)
    slope = _backend.sine(resolved + margin) / _backend.sine(resolved)
    slope = ops.where(is_inside, slope, 1.0)
    return _with_slope(value, 1.0 if gradient_detachment else slope, cosine)


def multiplicative_angular_margin(
    cosine: Tensor, margin: float, *, gradient_detachment: bool = False
) -> Tensor:
    """SphereFace's margin: `psi(t)`, which falls `margin` times as fast.

        psi(t) = (-1)**k cos(margin t) - 2k,   t in [k pi / margin,
                                                     (k + 1) pi / margin]

    For integer margins by Chebyshev polynomials in `cos t`, for others
    through the angle.

    Args:
        cosine: Float tensor of any shape, cosines in [-1, 1] up to rounding.
        margin: Real number in [1, 16], no unit. 1 is no margin.
        gradient_detachment: Bool. Whether the gradient is that of `cos t`
            ("characteristic gradient detachment"). Defaults to `False`.

    Returns:
        Tensor of the same shape, from 1 at `t = 0` down to `1 - 2 margin` at
        `t = pi` for integers; float32 (float64 for float64 cosines).

    Raises:
        ValueError: If `margin` is outside its range.

    Numerics:
        The slope by the cosine is at most `margin**2` for integers. For
        others it grows without bound towards `t = pi`: nearer to an end than
        1.4e-3 radians (float32; 6e-8 in float64) it is that of the nearest
        angle outside. The gradient by a feature is bounded in any case.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import multiplicative_angular_margin
        >>> orthogonal = np.array(0.0, "float32")
        >>> float(multiplicative_angular_margin(orthogonal, 4))
        -3.0

    References:
        Liu et al., "SphereFace", CVPR 2017, arXiv:1704.08063, equation 7.
        Real margins and detachment: Liu et al., "SphereFace Revived",
        arXiv:2109.05565.
    """
    margin = check_real("margin", margin, at_least=1.0, at_most=16.0)
    cosine = _in_computation_dtype(cosine)
    constant = ops.stop_gradient(cosine)
    if margin.is_integer():
        value, slope = _by_chebyshev(constant, int(margin))
    else:
        value, slope = _by_angle(constant, margin)
    return _with_slope(value, 1.0 if gradient_detachment else slope, cosine)


def similarity_adjustment(
    cosine: Tensor, adjustment: float, *, gradient_detachment: bool = False
) -> Tensor:
    """SphereFace2's map of similarities: `2 ((c + 1) / 2)**adjustment - 1`.

    Args:
        cosine: Float tensor of any shape, cosines in [-1, 1] up to rounding.
        adjustment: Real number in [1, 64], no unit. 1 changes nothing.
        gradient_detachment: Bool. Whether the gradient is that of the
            cosine. Defaults to `False`.

    Returns:
        Tensor of the same shape in [-1, 1]; float32 (float64 for float64
        cosines).

    Raises:
        ValueError: If `adjustment` is outside its range.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import similarity_adjustment
        >>> float(similarity_adjustment(np.array(0.0, "float32"), 3.0))
        -0.75

    References:
        Wen et al., "SphereFace2", ICLR 2022, arXiv:2108.01513.
    """
    adjustment = check_real(
        "adjustment", adjustment, at_least=1.0, at_most=64.0
    )
    cosine = _in_computation_dtype(cosine)
    share = _backend.at_least(0.5 * (ops.stop_gradient(cosine) + 1.0), 0.0)
    slope = adjustment * share ** (adjustment - 1.0)
    value = 2.0 * share**adjustment - 1.0
    return _with_slope(value, 1.0 if gradient_detachment else slope, cosine)


def _by_chebyshev(cosine: Tensor, margin: int) -> tuple[Tensor, Tensor]:
    """`psi` and its slope from `T_m(cos t) = cos(m t)`, `T_m' = m U_(m-1)`."""
    previous, first_kind = 1.0, cosine
    second_kind = ops.ones_like(cosine)
    previous_second = ops.zeros_like(cosine)
    turns = ops.zeros_like(cosine)
    for turn in range(1, margin):
        previous, first_kind = first_kind, 2.0 * cosine * first_kind - previous
        previous_second, second_kind = (
            second_kind,
            2.0 * cosine * second_kind - previous_second,
        )
        # The angle is past `turn * pi / margin`.
        is_past = cosine <= math.cos(turn * math.pi / margin)
        turns = turns + ops.cast(is_past, cosine.dtype)
    sign = _sign_of_turns(turns)
    return sign * first_kind - 2.0 * turns, sign * margin * second_kind


def _by_angle(cosine: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """`psi` and its slope by the cosine, through the angle."""
    angle = _angle(cosine)
    turns = ops.floor(angle * (margin / math.pi))
    sign = _sign_of_turns(turns)
    resolved = _away_from_ends(angle)
    slope = _backend.sine(margin * resolved) / _backend.sine(resolved)
    value = sign * _backend.cosine(margin * angle) - 2.0 * turns
    return value, sign * margin * slope


def _sign_of_turns(turns: Tensor) -> Tensor:
    """Returns `(-1)**turns`."""
    return 1.0 - 2.0 * (turns - 2.0 * ops.floor(0.5 * turns))


def _angle(cosine: Tensor) -> Tensor:
    """Returns the angle, with all its digits near both ends."""
    return angle_and_sine(cosine)[0]


def _away_from_ends(angle: Tensor) -> Tensor:
    """Moves angles to where a quotient of sines has digits."""
    smallest = math.sqrt(
        _numerics.resolution(_numerics.computation_dtype(angle))
    )
    # Not by `ops.clip`, which on PyTorch rounds its bounds to `floatx`.
    angle = _backend.at_least(angle, smallest)
    return -_backend.at_least(-angle, smallest - math.pi)


def _with_slope(value: Tensor, slope: Tensor | float, cosine: Tensor) -> Tensor:
    """Joins a value and a slope that are constants, made of a constant.

    Returns:
        `value`, with `slope` as its derivative by `cosine`.
    """
    return value + slope * (cosine - ops.stop_gradient(cosine))


def _in_computation_dtype(cosine: Tensor) -> Tensor:
    cosine = ops.convert_to_tensor(cosine)
    return ops.cast(cosine, _numerics.computation_dtype(cosine))

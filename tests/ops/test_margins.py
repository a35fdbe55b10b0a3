"""Margins against their definitions by angles, in float64."""

import math

import numpy as np
import pytest
from keras import ops

from keras_mhe.ops import (
    additive_angular_margin,
    additive_cosine_margin,
    multiplicative_angular_margin,
    similarity_adjustment,
)
from support.gradients import MODES, value_and_grad, with_float64
from support.tensors import as_array, dtype_of

all_modes = pytest.mark.parametrize("mode", MODES)

#: Between the ends of all pieces of all margins, and away from them.
ANGLES = np.linspace(0.02, math.pi - 0.02, 157)


def psi(angle, margin):
    """SphereFace's definition."""
    turn = math.floor(margin * angle / math.pi)
    return (-1) ** turn * math.cos(margin * angle) - 2 * turn


def arc(angle, margin):
    if angle + margin <= math.pi:
        return math.cos(angle + margin)
    return math.cos(angle) - margin * math.sin(margin)


def adjusted(angle, adjustment):
    return 2.0 * ((math.cos(angle) + 1.0) / 2.0) ** adjustment - 1.0


#: Function, its definition by the angle, and an argument.
MARGINS = [
    *(
        (multiplicative_angular_margin, psi, margin)
        for margin in (1, 2, 3, 4, 7, 1.0, 1.3, 1.7, 2.5)
    ),
    *((additive_angular_margin, arc, margin) for margin in (0.0, 0.5, 1.5)),
    (additive_cosine_margin, lambda angle, m: math.cos(angle) - m, 0.35),
    *((similarity_adjustment, adjusted, power) for power in (1.0, 3.0, 2.5)),
]
each_margin = pytest.mark.parametrize(
    ("function", "definition", "margin"),
    MARGINS,
    ids=[f"{function.__name__}-{m}" for function, _, m in MARGINS],
)


def angles_for(function, margin):
    """Angles away from those where the definition has a kink or a jump."""
    kinks = np.array([])
    if function is multiplicative_angular_margin:
        kinks = np.arange(1, math.ceil(margin)) * math.pi / margin
    elif function is additive_angular_margin:
        kinks = np.array([math.pi - margin])
    distance = np.abs(ANGLES[:, None] - kinks).min(axis=1, initial=9.0)
    return ANGLES[distance > 5e-3]


def total(function, margin, **options):
    return lambda cosine: ops.sum(function(cosine, margin, **options))


@each_margin
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value(dtype, function, definition, margin):
    angles = angles_for(function, margin)
    with with_float64():
        values = function(np.cos(angles).astype(dtype), margin)
        assert dtype_of(values) == dtype
    expected = [definition(angle, margin) for angle in angles]
    np.testing.assert_allclose(
        as_array(values), expected, atol=2e-5 if dtype == "float32" else 1e-11
    )


@all_modes
@each_margin
def test_gradient(function, definition, margin, mode):
    angles = angles_for(function, margin)
    step = 1e-6
    # By the cosine: the derivative by the angle over -sin.
    expected = [
        -(definition(angle + step, margin) - definition(angle - step, margin))
        / (2.0 * step * math.sin(angle))
        for angle in angles
    ]
    actual = value_and_grad(total(function, margin), np.cos(angles), mode=mode)
    np.testing.assert_allclose(actual.gradient, expected, rtol=2e-3, atol=2e-3)


@each_margin
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_dtypes_are_computed_in_float32(
    function, definition, margin, dtype
):
    values = function(ops.cast([0.25, -0.5], dtype), margin)
    assert dtype_of(values) == "float32"
    expected = [definition(math.acos(c), margin) for c in (0.25, -0.5)]
    np.testing.assert_allclose(as_array(values), expected, atol=1e-5)


@all_modes
@each_margin
def test_finite_at_and_beyond_the_ends(function, definition, margin, mode):
    cosines = np.array([1.0, 1.0 + 1e-6, -1.0, -1.0 - 1e-6, 0.0])
    actual = value_and_grad(total(function, margin), cosines, mode=mode)
    assert np.isfinite(actual.value)
    assert np.abs(actual.gradient).max() < 2e3


@each_margin
def test_nan_stays_nan(function, definition, margin):
    value = function(np.array([math.nan], "float32"), margin)
    assert np.isnan(as_array(value)).all()


@pytest.mark.parametrize("margin", [1, 2, 3, 4])
def test_values_and_slopes_of_whole_margins_at_the_ends(margin):
    ends = np.array([1.0, -1.0], "float32")
    values = as_array(multiplicative_angular_margin(ends, margin))
    np.testing.assert_allclose(values, [1.0, 1.0 - 2.0 * margin])
    slopes = value_and_grad(total(multiplicative_angular_margin, margin), ends)
    np.testing.assert_allclose(slopes.gradient, [margin**2] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "margin"),
    [
        (additive_angular_margin, 0.5),
        (multiplicative_angular_margin, 4),
        (multiplicative_angular_margin, 1.7),
        (similarity_adjustment, 3.0),
    ],
)
def test_gradient_detachment(function, margin):
    cosines = np.cos(ANGLES)
    plain = value_and_grad(total(function, margin), cosines)
    detached = value_and_grad(
        total(function, margin, gradient_detachment=True), cosines
    )
    assert detached.value == plain.value
    np.testing.assert_array_equal(detached.gradient, np.ones(len(ANGLES)))


@pytest.mark.parametrize(
    ("function", "wrong", "message"),
    [
        (additive_angular_margin, -0.1, r"`margin` .* in \[0, 1\.5708\]"),
        (additive_angular_margin, 1.6, r"`margin` .* in \[0, 1\.5708\]"),
        (multiplicative_angular_margin, 0.9, r"`margin` .* in \[1, 16\]"),
        (multiplicative_angular_margin, 17, r"`margin` .* in \[1, 16\]"),
        (multiplicative_angular_margin, True, r"`margin` .* in \[1, 16\]"),
        (multiplicative_angular_margin, math.nan, r"`margin` .* in \[1, 16\]"),
        (additive_cosine_margin, -0.1, "`margin` must be a finite real"),
        (similarity_adjustment, 0.5, "`adjustment` must be a real number"),
    ],
)
def test_argument_out_of_range(function, wrong, message):
    with pytest.raises(ValueError, match=f"{message}.*={wrong!r}"):
        function(np.zeros(1, "float32"), wrong)

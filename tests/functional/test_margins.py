"""Margins against their definitions by angles, in float64."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import (
    additive_angular_margin,
    additive_cosine_margin,
    multiplicative_angular_margin,
    similarity_adjustment,
)
from support.gradients import MODES, value_and_grad

TESTS = Path(__file__).parents[1]

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
    (multiplicative_angular_margin, psi, margin)
    for margin in (1, 2, 3, 4, 7, 1.0, 1.3, 1.7, 2.5)
] + [
    (additive_angular_margin, arc, 0.0),
    (additive_angular_margin, arc, 0.5),
    (additive_angular_margin, arc, 1.5),
    (additive_cosine_margin, lambda t, m: math.cos(t) - m, 0.35),
    (similarity_adjustment, adjusted, 1.0),
    (similarity_adjustment, adjusted, 3.0),
    (similarity_adjustment, adjusted, 2.5),
]
each_margin = pytest.mark.parametrize(
    ("function", "definition", "margin"),
    MARGINS,
    ids=[f"{function.__name__}-{m}" for function, _, m in MARGINS],
)


def pieces(function, margin):
    """Angles at which the definition has a kink or a jump."""
    if function is multiplicative_angular_margin:
        return np.arange(1, math.ceil(margin)) * math.pi / margin
    if function is additive_angular_margin:
        return np.array([math.pi - margin])
    return np.array([])


def angles_for(function, margin):
    kinks = pieces(function, margin)
    distance = np.abs(ANGLES[:, None] - kinks).min(axis=1, initial=9.0)
    return ANGLES[distance > 5e-3]


def total(function, margin, **options):
    return lambda cosine: ops.sum(function(cosine, margin, **options))


@each_margin
def test_value(function, definition, margin):
    angles = angles_for(function, margin)
    values = function(np.cos(angles).astype("float32"), margin)
    expected = [definition(angle, margin) for angle in angles]
    np.testing.assert_allclose(
        ops.convert_to_numpy(values), expected, atol=2e-5
    )


def test_float64(tmp_path):
    # JAX has no float64 unless told so before it starts.
    source, target = tmp_path / "margins.json", tmp_path / "values.npz"
    cases = [
        (function.__name__, margin, angles_for(function, margin).tolist())
        for function, _, margin in MARGINS
    ]
    source.write_text(json.dumps(cases))
    subprocess.run(
        [sys.executable, "-m", "support.float64_margins", source, target],
        env={
            **os.environ,
            "JAX_ENABLE_X64": "1",
            "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
        },
        check=True,
    )
    found = np.load(target)
    for place, (function, definition, margin) in enumerate(MARGINS):
        values = found[f"arr_{place}"]
        assert values.dtype == "float64", function
        expected = [
            definition(angle, margin) for angle in angles_for(function, margin)
        ]
        np.testing.assert_allclose(values, expected, rtol=0.0, atol=1e-11)


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


@pytest.mark.parametrize("margin", [1, 2, 3, 4, 1.7])
def test_multiplicative_margin_is_continuous_and_falls(margin):
    # Nearer to pi the cosine has too few digits to tell angles apart.
    angles = np.linspace(0.0, math.pi - 0.01, 100_001)
    values = ops.convert_to_numpy(
        multiplicative_angular_margin(np.cos(angles), float(margin))
    )
    steps = np.diff(values)
    assert steps.max() < 1e-6
    # The slope by the angle is at most the margin.
    assert steps.min() > -1.3 * margin * (angles[1] - angles[0])


def test_additive_margin_falls():
    angles = np.linspace(0.0, math.pi, 10_001)
    for margin in (0.1, 0.5, 1.0, math.pi / 2):
        values = additive_angular_margin(np.cos(angles), margin)
        assert np.diff(ops.convert_to_numpy(values)).max() < 1e-6


@pytest.mark.parametrize("margin", [1, 2, 3, 4])
def test_ends(margin):
    ends = multiplicative_angular_margin(
        np.array([1.0, -1.0], "float32"), margin
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(ends), [1.0, 1.0 - 2.0 * margin]
    )


@pytest.mark.parametrize("margin", [1, 2, 3, 4])
def test_slope_of_whole_margins_at_the_ends(margin):
    ends = value_and_grad(
        total(multiplicative_angular_margin, margin), np.array([1.0, -1.0])
    )
    np.testing.assert_allclose(ends.gradient, [margin**2] * 2, rtol=1e-6)


@all_modes
@each_margin
def test_finite_at_and_beyond_the_ends(function, definition, margin, mode):
    cosines = np.array([1.0, 1.0 + 1e-6, -1.0, -1.0 - 1e-6, 0.0])
    actual = value_and_grad(total(function, margin), cosines, mode=mode)
    assert np.isfinite(actual.value)
    assert np.abs(actual.gradient).max() < 2e3


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


@each_margin
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_dtypes_are_computed_in_float32(
    function, definition, margin, dtype
):
    cosines = ops.cast(ops.convert_to_tensor([0.25, -0.5]), dtype)
    values = function(cosines, margin)
    assert keras.backend.standardize_dtype(values.dtype) == "float32"
    expected = [definition(math.acos(c), margin) for c in (0.25, -0.5)]
    np.testing.assert_allclose(
        ops.convert_to_numpy(values), expected, atol=1e-5
    )


def test_nan_stays_nan():
    for function, _, margin in MARGINS:
        value = function(np.array([math.nan], "float32"), margin)
        assert np.isnan(ops.convert_to_numpy(value)).all()


@pytest.mark.parametrize(
    ("function", "wrong", "interval"),
    [
        (additive_angular_margin, -0.1, "[0, 1.5708]"),
        (additive_angular_margin, 1.6, "[0, 1.5708]"),
        (multiplicative_angular_margin, 0.9, "[1, 16]"),
        (multiplicative_angular_margin, 17, "[1, 16]"),
        (multiplicative_angular_margin, True, "[1, 16]"),
        (multiplicative_angular_margin, math.nan, "[1, 16]"),
    ],
)
def test_margin_out_of_range(function, wrong, interval):
    with pytest.raises(ValueError, match="`margin` must be a real number") as e:
        function(np.zeros(1, "float32"), wrong)
    assert interval in str(e.value)
    assert f"margin={wrong!r}" in str(e.value)


def test_negative_cosine_margin():
    with pytest.raises(ValueError, match="`margin` must be a finite real"):
        additive_cosine_margin(np.zeros(1, "float32"), -0.1)


def test_adjustment_out_of_range():
    with pytest.raises(ValueError, match="`adjustment` must be a real number"):
        similarity_adjustment(np.zeros(1, "float32"), 0.5)

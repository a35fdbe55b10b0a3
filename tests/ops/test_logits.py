"""Cosines of features and class vectors, and lengths of features."""

import gc
import math
import weakref

import numpy as np
import pytest
from keras import ops

from keras_mhe.ops import cosines, feature_norms
from keras_mhe.ops._pairs.neurons import unit_columns
from support.gradients import MODES, value_and_grad
from support.numpy_reference import differences
from support.tensors import as_array, dtype_of, random_array, rounded

all_modes = pytest.mark.parametrize("mode", MODES)
FEATURES = random_array(5, 4)
KERNEL = random_array(4, 3, seed=1)
#: Makes a scalar of a table of cosines.
WEIGHTS = random_array(5, 3, seed=2)


def expected_cosines(features, kernel):
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    return features @ (kernel / np.linalg.norm(kernel, axis=0))


#: By features and by kernel: a function, its argument, and its definition.
SIDES = [
    (
        lambda x: ops.sum(ops.multiply(cosines(x, KERNEL), WEIGHTS)),
        FEATURES,
        lambda x: np.sum(expected_cosines(x, KERNEL) * WEIGHTS),
    ),
    (
        lambda x: ops.sum(ops.multiply(cosines(FEATURES, x), WEIGHTS)),
        KERNEL,
        lambda x: np.sum(expected_cosines(FEATURES, x) * WEIGHTS),
    ),
]
each_side = pytest.mark.parametrize(
    ("function", "x", "definition"), SIDES, ids=["features", "kernel"]
)


@all_modes
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e20])
@each_side
def test_gradients(function, x, definition, scale, mode):
    actual = value_and_grad(function, scale * x, mode=mode)
    np.testing.assert_allclose(actual.value, definition(x), rtol=1e-5)
    expected = differences(definition, x)
    np.testing.assert_allclose(actual.gradient * scale, expected, atol=1e-5)


@all_modes
@pytest.mark.parametrize("largest", [1e-35, 3e38])
@each_side
def test_extreme_lengths(function, x, definition, largest, mode):
    scaled = largest * (x / np.abs(x).max())
    actual = value_and_grad(function, scaled, mode=mode)
    np.testing.assert_allclose(actual.value, definition(x), rtol=1e-4)
    assert np.isfinite(actual.gradient).all()


@all_modes
@each_side
def test_zero_vectors_are_orthogonal_and_do_not_move(
    function, x, definition, mode
):
    zeros = x.copy()
    vector = (1, slice(None)) if x is FEATURES else (slice(None), 1)
    zeros[vector] = 0.0
    features, kernel = (zeros, KERNEL) if x is FEATURES else (FEATURES, zeros)
    assert not as_array(cosines(features, kernel))[vector].any()
    gradient = value_and_grad(function, zeros, mode=mode).gradient
    assert not gradient[vector].any()
    assert gradient.any()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_vectors_that_are_not_finite_are_seen(bad):
    features, kernel = FEATURES.copy(), KERNEL.copy()
    features[1, 2] = bad
    kernel[0, 2] = bad
    is_nan = np.isnan(as_array(cosines(features, kernel)))
    expected = np.zeros((5, 3), bool)
    expected[1] = expected[:, 2] = True
    np.testing.assert_array_equal(is_nan, expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_dtypes_are_computed_in_float32(dtype):
    result = cosines(ops.cast(FEATURES, dtype), ops.cast(KERNEL, dtype))
    assert dtype_of(result) == "float32"
    expected = expected_cosines(
        rounded(FEATURES, dtype), rounded(KERNEL, dtype)
    )
    np.testing.assert_allclose(as_array(result), expected, atol=1e-6)


@all_modes
def test_feature_norms(mode):
    features = FEATURES.copy()
    features[3] = 0.0
    expected = np.linalg.norm(features, axis=1, keepdims=True)
    norms = as_array(feature_norms(features))
    np.testing.assert_allclose(norms, expected, rtol=1e-6)
    actual = value_and_grad(
        lambda x: ops.sum(feature_norms(x)), features, mode=mode
    )
    directions = features / np.maximum(expected, 1e-9)
    np.testing.assert_allclose(actual.gradient, directions, atol=1e-6)


def test_unit_columns_do_not_keep_themselves_alive():
    kernel = ops.convert_to_tensor(KERNEL)
    if hasattr(kernel, "requires_grad_"):
        kernel.requires_grad_()
    # Before the backward pass, and without the help of the collector.
    gc.collect()
    gc.disable()
    try:
        watch = weakref.ref(kernel)
        result = unit_columns(kernel)
        del kernel, result
        assert watch() is None
    finally:
        gc.enable()

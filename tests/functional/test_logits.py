"""Cosines of features and class vectors, and lengths of features."""

import gc
import math
import weakref

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import cosines, feature_norms
from keras_mhe.functional._neurons import unit_columns
from support.gradients import MODES, value_and_grad

all_modes = pytest.mark.parametrize("mode", MODES)
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(5, 4))
KERNEL = RNG.normal(size=(4, 3))
#: Makes a scalar of a table of cosines.
WEIGHTS = RNG.normal(size=(5, 3))


def expected_cosines(features, kernel):
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    return features @ (kernel / np.linalg.norm(kernel, axis=0))


def by_features(features):
    kernel = KERNEL.astype("float32")
    return weighted_sum(cosines(features, kernel))


def by_kernel(kernel):
    features = FEATURES.astype("float32")
    return weighted_sum(cosines(features, kernel))


def weighted_sum(table):
    return ops.sum(table * ops.convert_to_tensor(WEIGHTS.astype("float32")))


def differences(function, x, step=1e-6):
    """Central differences of a float64 function."""
    result = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        above, below = x.copy(), x.copy()
        above[index] += step
        below[index] -= step
        result[index] = (function(above) - function(below)) / (2.0 * step)
    return result


def test_values():
    actual = cosines(FEATURES.astype("float32"), KERNEL.astype("float32"))
    np.testing.assert_allclose(
        ops.convert_to_numpy(actual),
        expected_cosines(FEATURES, KERNEL),
        atol=1e-6,
    )


@all_modes
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e20])
def test_gradients(scale, mode):
    pairs = [
        (by_features, FEATURES, lambda x: expected_cosines(x, KERNEL)),
        (by_kernel, KERNEL, lambda x: expected_cosines(FEATURES, x)),
    ]
    for function, x, reference in pairs:
        actual = value_and_grad(function, scale * x, mode=mode)
        expected = differences(
            lambda x, reference=reference: np.sum(reference(x) * WEIGHTS), x
        )
        np.testing.assert_allclose(actual.gradient * scale, expected, atol=1e-5)


@all_modes
@pytest.mark.parametrize("largest", [1e-35, 3e38])
def test_extreme_lengths(largest, mode):
    for function, x in ((by_features, FEATURES), (by_kernel, KERNEL)):
        expected = value_and_grad(function, x, mode=mode)
        actual = value_and_grad(
            function, largest * x / np.abs(x).max(), mode=mode
        )
        np.testing.assert_allclose(actual.value, expected.value, rtol=1e-4)
        assert np.isfinite(actual.gradient).all()


@all_modes
def test_zero_vectors_are_orthogonal_and_do_not_move(mode):
    features, kernel = FEATURES.copy(), KERNEL.copy()
    features[1] = 0.0
    kernel[:, 2] = 0.0
    result = ops.convert_to_numpy(
        cosines(features.astype("float32"), kernel.astype("float32"))
    )
    assert not result[1].any()
    assert not result[:, 2].any()
    gradient = value_and_grad(by_features, features, mode=mode).gradient
    assert not gradient[1].any()
    assert gradient[0].any()
    gradient = value_and_grad(by_kernel, kernel, mode=mode).gradient
    assert not gradient[:, 2].any()
    assert gradient[:, 0].any()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_vectors_that_are_not_finite_are_seen(bad):
    features, kernel = FEATURES.astype("float32"), KERNEL.astype("float32")
    features[1, 2] = bad
    kernel[0, 2] = bad
    is_nan = np.isnan(ops.convert_to_numpy(cosines(features, kernel)))
    expected = np.zeros((5, 3), bool)
    expected[1] = expected[:, 2] = True
    np.testing.assert_array_equal(is_nan, expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_dtypes_are_computed_in_float32(dtype):
    features = ops.cast(ops.convert_to_tensor(FEATURES), dtype)
    kernel = ops.cast(ops.convert_to_tensor(KERNEL), dtype)
    result = cosines(features, kernel)
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    expected = expected_cosines(
        ops.convert_to_numpy(ops.cast(features, "float32")),
        ops.convert_to_numpy(ops.cast(kernel, "float32")),
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(result), expected, atol=1e-6
    )


@all_modes
def test_feature_norms(mode):
    features = FEATURES.copy()
    features[3] = 0.0
    norms = feature_norms(features.astype("float32"))
    expected = np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(ops.convert_to_numpy(norms), expected, rtol=1e-6)
    actual = value_and_grad(
        lambda x: ops.sum(feature_norms(x)), features, mode=mode
    )
    directions = features / np.maximum(expected, 1e-9)
    np.testing.assert_allclose(actual.gradient, directions, atol=1e-6)


def test_unit_columns_do_not_keep_themselves_alive():
    kernel = ops.convert_to_tensor(KERNEL.astype("float32"))
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

"""Every public class under `keras.config.set_floatx`, the same numbers."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe import constraints, layers, losses, metrics, regularizers
from support import float_dtypes
from support.float_dtypes import CONSTRAINTS, HEADS, LABELS, REGULARIZERS
from support.gradients import IS_THOROUGH, value_and_grad

RNG = np.random.default_rng(1)
KERNEL = RNG.normal(size=(6, 7)).astype("float32")
KERNEL[:, 3] = KERNEL[:, 2] + 1e-3
KERNEL[:, 5] = -KERNEL[:, 4]
#: Backends that compile each case anew have one of them.
SHORT = ["float16", "bfloat16"] if IS_THOROUGH else ["bfloat16"]
#: For which JAX starts a process.
IS_EXTRA = keras.backend.backend() == "jax" and not IS_THOROUGH


@pytest.fixture
def set_floatx():
    yield float_dtypes.set_floatx
    float_dtypes.set_floatx("float32")


def test_every_class_is_there():
    for package, known in (
        (regularizers, set(REGULARIZERS)),
        (constraints, set(CONSTRAINTS)),
        (layers, {*HEADS, "SpectralNormalization"}),
        (losses, {"OneVsAllCrossentropy", "SampledCrossentropy"}),
        (metrics, {"FeatureEnergy", "Verification"}),
    ):
        members = {name: getattr(package, name) for name in package.__all__}
        assert {
            n for n, one in members.items() if isinstance(one, type)
        } == known


@pytest.mark.parametrize("floatx", SHORT if IS_EXTRA else [*SHORT, "float64"])
def test_models_train(floatx, set_floatx):
    if keras.backend.backend() == "jax" and floatx == "float64":
        # It has float64 only from the start of a process.
        tests = Path(__file__).parents[1]
        paths = {"PYTHONPATH": str(tests.parent), "JAX_ENABLE_X64": "1"}
        subprocess.run(
            [sys.executable, "-m", "support.float_dtypes", floatx],
            cwd=tests,
            env={**os.environ, **paths},
            check=True,
        )
        return
    float_dtypes.main(floatx)


def evaluations():
    """Functions of float32 input and that input, by name."""
    for name, regularizer in REGULARIZERS.items():
        yield name, regularizer, KERNEL
    for name, make in HEADS.items():
        head = make(dtype="float32", seed=1)
        head.build((None, 6))
        head.kernel.assign(KERNEL[:, :5])
        yield name, training_loss(name, head), KERNEL[:, :6].T


def training_loss(name, head):
    values = [(weight, weight.value) for weight in head.variables]
    loss = {
        "ArcFace": losses.SampledCrossentropy(),
        "SphereFace2": losses.OneVsAllCrossentropy(),
    }.get(name, lambda labels, logits: ops.sum(logits * logits))

    def of_features(features):
        with keras.StatelessScope(values):
            logits = head(features, LABELS[:6], training=True)
        return loss(ops.convert_to_tensor(LABELS[:6]), logits)

    return of_features


@pytest.mark.parametrize("floatx", SHORT)
def test_float32_input_gives_the_same_numbers(floatx, set_floatx):
    results = []
    for dtype in ("float32", floatx):
        set_floatx(dtype)
        results.append(
            {name: value_and_grad(*rest) for name, *rest in evaluations()}
        )
    # Keras' L2 rounds its factor; on TensorFlow all regularizers answer in the
    # process's float dtype.
    rounded = {"AddedRegularizer", "RegularizerSum"}
    if keras.backend.backend() == "tensorflow":
        rounded |= set(REGULARIZERS)
    for name, expected in results[0].items():
        tolerance = 1e-2 if name in rounded else 1e-5
        actual = results[1][name]
        np.testing.assert_allclose(actual.value, expected.value, tolerance)
        np.testing.assert_allclose(
            actual.gradient,
            expected.gradient,
            atol=tolerance * np.abs(expected.gradient).max(),
        )


@pytest.mark.parametrize("floatx", SHORT)
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_give_the_same_numbers(name, floatx, set_floatx):
    kernel = ops.convert_to_tensor(KERNEL)
    expected = ops.convert_to_numpy(CONSTRAINTS[name](kernel))
    set_floatx(floatx)
    actual = ops.convert_to_numpy(CONSTRAINTS[name](kernel))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize("floatx", SHORT)
def test_metrics_of_large_batches_do_not_overflow(floatx, set_floatx):
    features = RNG.normal(size=(500, 3)).astype("float32")
    expected = metrics.FeatureEnergy()
    set_floatx(floatx)
    actual = metrics.FeatureEnergy()
    for metric in (expected, actual):
        metric.update_state(None, ops.convert_to_tensor(features, "float32"))
    np.testing.assert_allclose(
        *[ops.convert_to_numpy(m.result()) for m in (actual, expected)], 1e-6
    )

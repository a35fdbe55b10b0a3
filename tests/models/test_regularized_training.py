"""`regularize` acts on the next training step, compiled ones too."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mhe import MHE, regularize, unregularize
from support.tensors import total
from support.ways import COMPILED_WAYS

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(8, 6)).astype("float32")
TARGETS = RNG.normal(size=(8, 3)).astype("float32")


def model_of(**options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, name="hidden"),
            layers.Dense(3, name="classes"),
        ]
    )
    # Without a rate and a loss, what is reported is the regularizers' alone.
    model.compile(
        keras.optimizers.SGD(0.0), loss="mse", loss_weights=[0.0], **options
    )
    return model


def loss(model):
    return model.fit(INPUTS, TARGETS, verbose=0).history["loss"][0]


def evaluated(model):
    return model.evaluate(INPUTS, TARGETS, verbose=0)


@pytest.mark.parametrize("way", COMPILED_WAYS)
def test_after_compile_and_training(way):
    model = model_of(**COMPILED_WAYS[way])
    assert loss(model) == 0.0
    assert evaluated(model) == 0.0
    regularize(model, MHE(1.0))
    expected = total(model.losses)
    assert expected > 0.5
    assert loss(model) == pytest.approx(expected, rel=1e-5)
    assert evaluated(model) == pytest.approx(expected, rel=1e-5)
    regularize(model, MHE(3.0))
    assert loss(model) == pytest.approx(3.0 * expected, rel=1e-5)
    unregularize(model)
    assert loss(model) == 0.0
    assert evaluated(model) == 0.0


def test_the_gradient_acts():
    model = model_of()
    model.optimizer.learning_rate = 1.0
    before = total([MHE(1.0)(layer.kernel) for layer in model.layers])
    loss(model)
    regularize(model, MHE(1.0))
    for _ in range(5):
        loss(model)
    after = total([MHE(1.0)(layer.kernel) for layer in model.layers])
    assert after < before - 1e-3


def test_outer_model():
    inner = model_of()
    inputs = keras.Input((6,))
    outer = keras.Model(inputs, inner(inputs))
    outer.compile(keras.optimizers.SGD(0.0), "mse", loss_weights=[0.0])
    assert loss(outer) == 0.0
    assert loss(inner) == 0.0
    regularize(outer, MHE(1.0), layers=[f"{inner.name}/hidden"])
    expected = total(outer.losses)
    assert loss(outer) == pytest.approx(expected, rel=1e-5)
    # The inner model has compiled steps of its own.
    assert loss(inner) == pytest.approx(expected, rel=1e-5)


def test_optimizer_goes_on():
    model = model_of()
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    loss(model)
    steps = int(model.optimizer.iterations)
    momenta = [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables]
    regularize(model, MHE(1.0))
    assert int(model.optimizer.iterations) == steps
    for old, new in zip(momenta, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(new))
    loss(model)
    assert int(model.optimizer.iterations) == steps + 1

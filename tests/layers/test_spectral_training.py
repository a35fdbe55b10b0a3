"""`SpectralNormalization` in `fit`: compiled, eager, mixed precision."""

from contextlib import nullcontext

import keras
import numpy as np
import pytest
from keras import layers

from keras_mhe import MHE
from keras_mhe.layers import SpectralNormalization, held_singular_vectors
from support.numpy_reference import neuron_matrix, power_iterated
from support.tensors import (
    as_array,
    as_float,
    assert_same_weights,
    dtype_of,
    random_array,
    weights_of,
)
from support.ways import COMPILED_WAYS as WAYS
from support.ways import EAGER

IMAGES = random_array(24, 6, 6, 2)
LABELS = np.random.default_rng(0).integers(0, 3, 24)
BACKEND = keras.backend.backend()

each_way = pytest.mark.parametrize("way", WAYS)


def make_layers(policy="float32"):
    return [
        SpectralNormalization(
            layers.Conv2D(
                4, 3, dtype=policy, kernel_regularizer=MHE(0.1, half_space=True)
            )
        ),
        layers.Activation("relu", dtype=policy),
        SpectralNormalization(layers.Conv2DTranspose(3, 2, dtype=policy)),
        SpectralNormalization(layers.DepthwiseConv2D(2, dtype=policy)),
        layers.Flatten(dtype=policy),
        SpectralNormalization(layers.Dense(3, dtype=policy)),
        layers.Activation("linear", dtype="float32"),
    ]


def fit(model, epochs=1, **options):
    return model.fit(
        IMAGES,
        LABELS,
        batch_size=8,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        **options,
    ).history


def compiled_model(policy="float32", optimizer=None, **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6, 6, 2)), *make_layers(policy)])
    model.compile(
        optimizer or keras.optimizers.SGD(0.2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **options,
    )
    return model


def wrappers(model):
    return [
        layer
        for layer in model.layers
        if isinstance(layer, SpectralNormalization)
    ]


@pytest.fixture(scope="module")
def eager_weights():
    model = compiled_model(**EAGER)
    fit(model, epochs=2)
    return weights_of(model)


@each_way
def test_fit(way, eager_weights):
    model = compiled_model(**WAYS[way])
    losses = fit(model, epochs=2, validation_data=(IMAGES, LABELS))["loss"]
    assert losses[1] < losses[0]
    assert_same_weights(model, eager_weights, atol=2e-4)


def test_evaluation_moves_nothing_and_has_the_regularizer_of_the_raw_kernel():
    model = compiled_model()
    before = weights_of(model)
    term = as_float(MHE(0.1, half_space=True)(wrappers(model)[0].layer.kernel))
    logged = model.evaluate(IMAGES, LABELS, verbose=0)
    logits = model.predict(IMAGES, verbose=0)
    assert_same_weights(model, before)
    expected = as_float(model.loss(LABELS, logits)) + term
    np.testing.assert_allclose(logged, expected, rtol=1e-5)


def test_norms_stay_near_one():
    model = compiled_model(optimizer=keras.optimizers.SGD(0.02))
    fit(model, epochs=10)
    for layer, axis in zip(
        wrappers(model), (-1, -2, (-2, -1), -1), strict=True
    ):
        raw = as_array(layer.layer.kernel)
        normalized = as_array(layer.normalized_kernels()[0])
        assert 0.98 < np.linalg.norm(neuron_matrix(normalized, axis), 2) < 1.05
        assert not np.allclose(raw, normalized)


@each_way
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy, way):
    model = compiled_model(policy, **WAYS[way])
    before = [as_array(w.vectors_u[0]) for w in wrappers(model)]
    losses = fit(model, epochs=3)["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    for layer, old in zip(wrappers(model), before, strict=True):
        assert layer.vectors_u[0].dtype == "float32"
        new = as_array(layer.vectors_u[0])
        assert np.abs(new - old).max() > 1e-4
        np.testing.assert_allclose(np.linalg.norm(new), 1.0, rtol=1e-5)
    outputs = wrappers(model)[0](IMAGES[:1])
    assert dtype_of(outputs) == policy.removeprefix("mixed_")


class Subclassed(keras.Model):
    """Gets its weights when `fit` calls it."""

    def __init__(self):
        super().__init__()
        self.stack = make_layers()

    def call(self, x, training=None):
        for layer in self.stack:
            x = layer(x, training=training)
        return x


@each_way
def test_weights_made_by_fit(way):
    model = Subclassed()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05), loss, **WAYS[way])
    losses = fit(model, epochs=4)["loss"]
    assert losses[-1] < losses[0]
    for weights in weights_of(model):
        assert np.isfinite(weights).all()
    vectors = as_array(model.stack[0].vectors_u[0])
    np.testing.assert_allclose(np.linalg.norm(vectors), 1.0, rtol=1e-5)


class Calls(keras.Model):
    """Calls a network several times, some of them with held vectors."""

    def __init__(self, network, hold):
        super().__init__()
        self.network, self.hold = network, hold

    def call(self, x, training=None):
        outputs = []
        for is_held in self.hold:
            with held_singular_vectors() if is_held else nullcontext():
                outputs.append(self.network(x, training=training))
        return sum(outputs)


ORDERS = [(False, True), (True, False), (False, True, False), (False, False)]


@pytest.mark.parametrize(
    ("hold", "way"),
    [
        *((hold, way) for hold in ORDERS for way in WAYS),
        pytest.param(ORDERS[0], "jit", marks=pytest.mark.slow),
    ],
)
def test_one_power_iteration_for_each_call_that_is_not_held(hold, way):
    kernel = random_array(5, 3)
    dense = SpectralNormalization(layers.Dense(3, use_bias=False))
    dense.build((None, 5))
    dense.layer.kernel.assign(kernel)
    u = as_array(dense.vectors_u[0])
    model = Calls(dense, hold)
    # Nothing but the vectors moves.
    options = WAYS.get(way, {"jit_compile": True})
    model.compile(keras.optimizers.SGD(0.0), "mse", **options)
    model.fit(np.ones((8, 5)), np.ones((8, 3)), batch_size=4, verbose=0)
    u, _ = power_iterated(kernel, u, 2 * hold.count(False))
    np.testing.assert_allclose(as_array(dense.vectors_u[0]), u, atol=1e-5)


def test_frozen_and_folded_layers_in_fit():
    """Frozen ones rest; folded ones do not share arrays with the trained."""
    model = compiled_model()
    frozen, *others = wrappers(model)
    frozen.trainable = False
    resting = [frozen, *(layer.fold() for layer in others)]
    before = [weights_of(layer) for layer in resting]
    fit(model)
    for layer, weights in zip(resting, before, strict=True):
        assert_same_weights(layer, weights)


#: Which of the layers, and on PyTorch the model too, are computed again.
SCOPES = {"one": {"mode": "list_of_layers", "layer_names": ["first"]}}
if BACKEND == "torch":
    SCOPES["all"] = {"mode": "full"}


@pytest.mark.parametrize("scope", SCOPES)
def test_gradient_checkpointing_changes_nothing(scope):
    def trained(arguments):
        keras.utils.set_random_seed(0)
        with keras.RematScope(**arguments):
            images = keras.Input((6, 6, 2))
            convolution = layers.Conv2D(4, 3, activation="tanh")
            features = SpectralNormalization(convolution, name="first")(images)
            outputs = layers.Dense(3)(layers.Flatten()(features))
            model = keras.Model(images, outputs)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.2), loss)
        fit(model, epochs=2)
        return model

    assert_same_weights(
        trained(SCOPES[scope]), trained({"mode": None}), atol=1e-6
    )

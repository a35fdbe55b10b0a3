"""`SpectralNormalization` in `fit`: compiled, eager, mixed precision."""

from contextlib import nullcontext

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe import MHE
from keras_mhe.functional import singular_values
from keras_mhe.layers import SpectralNormalization, held_singular_vectors
from support.tensors import as_float

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(24, 6, 6, 2)).astype("float32")
LABELS = RNG.integers(0, 3, 24)
BATCH, STEPS = 8, 3
BACKEND = keras.backend.backend()

WAYS = {
    "default": {},
    "eager": {"run_eagerly": True, "jit_compile": False},
    "jit": {"jit_compile": True},
}
#: PyTorch takes minutes to compile a network; one small test does it.
SLOW = {"jit"} if BACKEND == "torch" else set()
each_way = pytest.mark.parametrize("way", [w for w in WAYS if w not in SLOW])


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
        batch_size=BATCH,
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


def as_array(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.fixture(scope="module")
def eager_weights():
    model = compiled_model(**WAYS["eager"])
    fit(model, epochs=2)
    return [as_array(w) for w in model.weights]


@each_way
def test_fit(way, eager_weights):
    model = compiled_model(**WAYS[way])
    losses = fit(model, epochs=2, validation_data=(IMAGES, LABELS))["loss"]
    assert losses[1] < losses[0]
    for actual, expected in zip(model.weights, eager_weights, strict=True):
        np.testing.assert_allclose(as_array(actual), expected, atol=2e-4)


def test_validation_and_prediction_move_nothing():
    model = compiled_model()
    before = [as_array(w) for w in model.weights]
    model.evaluate(IMAGES, LABELS, verbose=0)
    model.predict(IMAGES, verbose=0)
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, as_array(new))


def test_norms_stay_near_one():
    model = compiled_model(optimizer=keras.optimizers.SGD(0.02))
    fit(model, epochs=10)
    for layer in wrappers(model):
        raw = layer.layer.kernel
        (normalized,) = layer.normalized_kernels()
        axis = {"conv2d_transpose": -2, "depthwise_conv2d": (-2, -1)}.get(
            layer.layer.name.rstrip("_0123456789"), -1
        )
        largest = as_array(singular_values(normalized, neuron_axis=axis))[0]
        assert 0.98 < largest < 1.05
        assert not np.allclose(as_array(raw), as_array(normalized))


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
    assert keras.backend.standardize_dtype(outputs.dtype) == policy[6:]


class Subclassed(keras.Model):
    """Gets its weights when `fit` calls it."""

    def __init__(self):
        super().__init__()
        self.stack = make_layers()

    def call(self, x, training=None):
        for layer in self.stack:
            x = layer(x, training=training)
        return x


@pytest.mark.parametrize("way", ["default", "eager"])
def test_weights_made_by_fit(way):
    model = Subclassed()
    model.compile(
        keras.optimizers.SGD(0.05),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **WAYS[way],
    )
    losses = fit(model, epochs=4)["loss"]
    assert losses[-1] < losses[0]
    for layer in model.stack:
        if isinstance(layer, SpectralNormalization):
            (normalized,) = layer.normalized_kernels()
            assert np.isfinite(as_array(normalized)).all()
            np.testing.assert_allclose(
                np.linalg.norm(as_array(layer.vectors_u[0])), 1.0, rtol=1e-5
            )


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
        pytest.param(hold, way, marks=[pytest.mark.slow] * (way in SLOW))
        for hold in ORDERS
        for way in WAYS
        if way not in SLOW or hold == ORDERS[0]
    ],
)
def test_one_power_iteration_for_each_call_that_is_not_held(hold, way):
    kernel = RNG.normal(size=(5, 3)).astype("float32")
    dense = SpectralNormalization(layers.Dense(3, use_bias=False))
    dense.build((None, 5))
    dense.layer.kernel.assign(kernel)
    u = as_array(dense.vectors_u[0]).astype("float64")
    model = Calls(dense, hold)
    # Nothing but the vectors moves.
    model.compile(keras.optimizers.SGD(0.0), "mse", **WAYS[way])
    model.fit(
        np.ones((8, 5), "float32"),
        np.ones((8, 3), "float32"),
        batch_size=4,
        verbose=0,
    )
    for _ in range(2 * hold.count(False)):
        u = kernel.T @ (kernel @ u)
        u /= np.linalg.norm(u)
    np.testing.assert_allclose(as_array(dense.vectors_u[0]), u, atol=1e-5)


def test_frozen_layer_in_fit():
    model = compiled_model()
    frozen = wrappers(model)[0]
    frozen.trainable = False
    before = [as_array(w) for w in frozen.weights]
    fit(model)
    for old, new in zip(before, frozen.weights, strict=True):
        np.testing.assert_array_equal(old, as_array(new))


def test_training_goes_on_after_loading(tmp_path):
    model = compiled_model()
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    fit(model)
    fit(loaded)
    for old, new in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(as_array(old), as_array(new), atol=1e-5)


def test_folded_layers_do_not_share_arrays():
    model = compiled_model()
    folded = [layer.fold() for layer in wrappers(model)]
    before = [[as_array(w) for w in layer.weights] for layer in folded]
    fit(model)
    for layer, weights in zip(folded, before, strict=True):
        for old, new in zip(weights, layer.weights, strict=True):
            np.testing.assert_array_equal(old, as_array(new))


def test_pytorch_parametrization():
    if BACKEND != "torch":
        pytest.skip("compares with PyTorch")
    torch = pytest.importorskip("torch")
    kernel = RNG.normal(size=(6, 4)).astype("float32")
    images = torch.tensor(RNG.normal(size=(5, 6)).astype("float32"))
    other = torch.nn.utils.parametrizations.spectral_norm(
        torch.nn.Linear(6, 4, bias=False)
    )
    state = other.parametrizations.weight
    with torch.no_grad():
        state.original.copy_(torch.tensor(kernel.T))
    # PyTorch moves the vector of the outputs first, so it is the other one.
    ours = SpectralNormalization(
        layers.Dense(4, use_bias=False), kernels={"kernel": 0}
    )
    ours.build((None, 6))
    ours.layer.kernel.assign(kernel)
    ours.vectors_u[0].assign(as_array(state[0]._v))
    ours.vectors_v[0].assign(as_array(state[0]._u))
    for _ in range(3):
        expected, actual = other(images), ours(images, training=True)
        np.testing.assert_allclose(
            as_array(actual), as_array(expected), atol=1e-5
        )
    ours.layer.kernel.value.grad = None
    torch.sum(expected**2).backward()
    torch.sum(actual**2).backward()
    np.testing.assert_allclose(
        as_array(ours.layer.kernel.value.grad),
        as_array(state.original.grad).T,
        atol=1e-4,
    )
    other.eval()
    np.testing.assert_allclose(
        as_array(ours(images, training=False)),
        as_array(other(images)),
        atol=1e-5,
    )


def test_loss_has_the_regularizer_of_the_raw_kernel():
    model = compiled_model(optimizer=keras.optimizers.SGD(0.0))
    kernel = wrappers(model)[0].layer.kernel
    term = as_float(MHE(0.1, half_space=True)(kernel))
    logged = model.evaluate(IMAGES, LABELS, verbose=0)
    logits = model.predict(IMAGES, verbose=0)
    expected = as_float(model.loss(LABELS, logits)) + term
    np.testing.assert_allclose(logged, expected, rtol=1e-5)


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
        return [as_array(w) for w in model.weights]

    weights, expected = trained(SCOPES[scope]), trained({"mode": None})
    for actual, weight in zip(weights, expected, strict=True):
        np.testing.assert_allclose(actual, weight, atol=1e-6)

"""`fit` with `MHE`: compiled or not, and in every precision."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe import MHE
from keras_mhe.callbacks import EnergyMonitor
from keras_mhe.functional import hyperspherical_energy
from keras_mhe.regularizers import RegularizerSum
from support.tensors import as_float

WAYS = {
    "no jit": {"jit_compile": False},
    "eager": {"run_eagerly": True, "jit_compile": False},
}
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(32, 6, 6, 2)).astype("float32")
LABELS = RNG.integers(0, 3, 32)


def model_of(policy="float32", strength=1.0, activity_regularizer=None):
    regularizer = MHE(strength, power=2, half_space=True)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(
                6, 3, kernel_regularizer=regularizer, dtype=policy,
                activation="relu", name="hidden",
                activity_regularizer=activity_regularizer,
            ),
            layers.Flatten(dtype=policy),
            layers.Dense(
                3, dtype=policy,
                kernel_regularizer=MHE(strength, power=0)
                + keras.regularizers.L2(1e-3),
            ),
        ]
    )  # fmt: skip


def compile_model(model, learning_rate=0.1, **options):
    model.compile(
        keras.optimizers.SGD(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **options,
    )


def fit(model, **options):
    return model.fit(
        IMAGES, LABELS, batch_size=12, shuffle=False, verbose=0, **options
    ).history


def assert_trained(model, history):
    losses = history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    for weights in model.get_weights():
        assert np.isfinite(weights).all()


@pytest.mark.parametrize("way", WAYS)
def test_fit(way):
    model = model_of()
    compile_model(model, **WAYS[way])
    history = fit(model, epochs=3, validation_data=(IMAGES[:8], LABELS[:8]))
    assert_trained(model, history)
    assert np.isfinite(history["val_loss"]).all()


def test_every_way_gives_the_same_weights():
    results = []
    for way in ("no jit", "eager"):
        keras.utils.set_random_seed(7)
        model = model_of()
        compile_model(model, **WAYS[way])
        fit(model, epochs=1)
        results.append(model.get_weights())
    for first, second in zip(*results, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("way", ["no jit", "eager"])
def test_mixed_precision(policy, way):
    model = model_of(policy)
    compile_model(model, **WAYS[way])
    history = fit(model, epochs=3)
    assert_trained(model, history)
    for loss in model.losses:
        assert keras.backend.standardize_dtype(loss.dtype) == "float32"


def test_mixed_float16_jit():
    # PyTorch compiles for half a minute; its jit is tested once, above.
    compiled = keras.backend.backend() != "torch"
    model = model_of("mixed_float16")
    compile_model(model, jit_compile=compiled)
    assert_trained(model, fit(model, epochs=2))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_with_a_short_activity_regularizer(policy):
    model = model_of(policy, activity_regularizer=keras.regularizers.L2(1e-3))
    compile_model(model)
    if keras.backend.backend() == "tensorflow":
        # Keras adds the activity's float16 loss to the weights' float32 ones,
        # which TensorFlow refuses, whatever the weights' regularizer.
        with pytest.raises(TypeError, match=r"float16.* to .*float32"):
            fit(model, epochs=2)
    else:
        assert_trained(model, fit(model, epochs=2))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_with_a_float32_activity_regularizer(policy):
    # A sum is float32 whatever its terms, so it works everywhere.
    activity = RegularizerSum([keras.regularizers.L2(1e-3), "l1"])
    model = model_of(policy, activity_regularizer=activity)
    compile_model(model)
    assert_trained(model, fit(model, epochs=2))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_pure_short_weights(dtype):
    model = model_of(dtype)
    compile_model(model, learning_rate=0.01)
    assert_trained(model, fit(model, epochs=3))
    assert model.layers[0].kernel.dtype == dtype


@pytest.mark.parametrize(
    "form",
    [
        {"power": 0},
        {"power": 1, "half_space": True},
        {"power": 2, "distance": "angular"},
    ],
    ids=str,
)
def test_energy_falls_in_fifty_steps(form):
    model = dense_model(MHE(1.0, **form))
    kernel = model.layers[0].kernel
    # Neurons that begin close to each other.
    kernel.assign(1.0 + 0.3 * RNG.normal(size=(8, 12)))
    before = as_float(hyperspherical_energy(kernel, **form))
    model.compile(keras.optimizers.Adam(0.02), "mse")
    model.fit(
        RNG.normal(size=(50, 8)), RNG.normal(size=(50, 1)), batch_size=1,
        epochs=1, verbose=0,
    )  # fmt: skip
    assert model.optimizer.iterations == 50
    after = as_float(hyperspherical_energy(kernel, **form))
    assert after < before - 0.1 * abs(before)


def dense_model(regularizer=None):
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(12, name="hidden", kernel_regularizer=regularizer),
            layers.Dense(1),
        ]
    )


@pytest.mark.slow
def test_jit_gives_the_same_weights():
    # With `jit_compile=True` PyTorch runs torch.compile, for half a minute.
    results = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(7)
        model = dense_model(MHE(1.0, half_space=True))
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
        rng = np.random.default_rng(0)
        history = model.fit(
            rng.normal(size=(16, 8)),
            rng.normal(size=(16, 1)),
            batch_size=8,
            epochs=3,
            shuffle=False,
            verbose=0,
        ).history
        assert_trained(model, history)
        results.append([*model.get_weights(), history["loss"]])
    for plain, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(plain, compiled, rtol=1e-4, atol=1e-5)


def test_monitor_sees_the_energy_fall():
    gaps = []
    for regularizer in (None, MHE(1.0, half_space=True)):
        keras.utils.set_random_seed(3)
        model = dense_model(regularizer)
        monitor = EnergyMonitor(half_space=True)
        model.compile(keras.optimizers.Adam(0.01), "mse")
        history = model.fit(
            IMAGES[:, 0, :4].reshape(32, 8),
            LABELS,
            batch_size=8,
            epochs=15,
            verbose=0,
            callbacks=[monitor],
        ).history
        gaps.append(history["energy_gap"][-1])
    assert gaps[1] < 0.6 * monitor.initial["energy_gap"]
    assert gaps[1] < gaps[0]


def test_unknown_batch_size_and_two_batch_sizes():
    model = model_of()
    compile_model(model)
    for size in (4, 7):
        loss = model.train_on_batch(IMAGES[:size], LABELS[:size])
        assert np.isfinite(loss)


def test_all_zero_kernel_trains():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(
                3, kernel_initializer="zeros", kernel_regularizer=MHE()
            ),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(RNG.normal(size=(8, 4)), RNG.normal(size=(8, 3)), verbose=0)
    kernel = ops.convert_to_numpy(model.layers[0].kernel)
    assert np.isfinite(kernel).all()
    assert kernel.any()

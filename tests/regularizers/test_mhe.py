"""The `MHE` regularizer: arguments, configuration, life inside models."""

import json
import re

import keras
import numpy as np
import pytest
from keras import layers

from keras_mhe import MHE
from support import numpy_reference
from support.tensors import as_float, total

NON_DEFAULTS = {
    "strength": 0.3,
    "power": 0.5,
    "distance": "angular",
    "half_space": True,
    "neuron_axis": (0, -1),
    "groups": 2,
    "epsilon": 1e-4,
    "block_size": 128,
    "units": "gap",
}
DEFAULTS = {
    "strength": 1.0,
    "power": 2.0,
    "distance": "euclidean",
    "half_space": False,
    "neuron_axis": -1,
    "groups": 1,
    "epsilon": 0.0,
    "block_size": "auto",
    "units": "energy",
}


def kernel(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def reference(weights, regularizer):
    config = {**regularizer.get_config()}
    strength = config.pop("strength")
    config.pop("block_size")
    config.pop("units")
    axes = config.pop("neuron_axis")
    axes = tuple(axes) if isinstance(axes, list) else axes
    return strength * numpy_reference.energy(
        weights, neuron_axis=axes, **config
    )


def predictions(model, inputs):
    return np.asarray(model.predict(inputs, verbose=0))


def test_defaults():
    assert MHE().get_config() == DEFAULTS


def test_strength_is_positional_and_the_rest_keyword_only():
    assert MHE(2).get_config() == {**DEFAULTS, "strength": 2.0}
    with pytest.raises(TypeError, match="positional"):
        MHE(2, 1)


def test_arguments_are_kept_under_their_names():
    regularizer = MHE(**NON_DEFAULTS)
    for name, value in NON_DEFAULTS.items():
        assert getattr(regularizer, name) == value


@pytest.mark.parametrize(
    "arguments",
    [{}, NON_DEFAULTS, *({k: v} for k, v in NON_DEFAULTS.items())],
    ids=lambda arguments: "-".join(arguments) or "defaults",
)
def test_config_round_trip(arguments):
    config = MHE(**arguments).get_config()
    plain = json.loads(json.dumps(config))
    assert plain == config
    assert MHE.from_config(plain).get_config() == config
    serialized = keras.saving.serialize_keras_object(MHE(**arguments))
    assert serialized["registered_name"] == "keras_mhe>MHE"
    restored = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(serialized))
    )
    assert type(restored) is MHE
    assert restored.get_config() == config
    assert keras.regularizers.get(serialized).get_config() == config


def test_numpy_numbers_become_plain_json():
    regularizer = MHE(
        np.float32(0.5),
        power=np.int64(1),
        half_space=np.bool_(True),
        neuron_axis=(np.int64(0), np.int32(1)),
        groups=np.int64(2),
        epsilon=np.float64(0.25),
        block_size=np.int64(8),
    )
    config = regularizer.get_config()
    assert json.loads(json.dumps(config)) == config
    restored = MHE.from_config(config)
    assert restored.neuron_axis == (0, 1)
    assert restored.get_config() == config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": -1.0}, "`strength` must be a finite real number >= 0"),
        ({"strength": "1"}, "Received: strength='1'"),
        ({"strength": True}, "Received: strength=True"),
        ({"strength": float("nan")}, "Received: strength=nan"),
        ({"power": -2}, "`power` must be a finite real number >= 0"),
        ({"power": float("nan")}, "Received: power=nan"),
        ({"distance": "l2"}, "`distance` must be one of 'euclidean', 'ang"),
        ({"half_space": 1}, "`half_space` must be True or False"),
        ({"units": "gaps"}, "`units` must be one of 'energy', 'gap'"),
        (
            {"units": "gap", "distance": "angular"},
            "proven minimum, and angles in full space have none",
        ),
        ({"neuron_axis": 1.0}, "`neuron_axis` must be an integer or a non"),
        ({"neuron_axis": ()}, "Received: neuron_axis=()"),
        ({"groups": 0}, "`groups` must be an integer >= 1. Received: group"),
        ({"epsilon": -1e-4}, "`epsilon` must be a finite real number >= 0"),
        ({"block_size": 0}, "`block_size` must be 'auto' or an integer >= 1"),
    ],
)
def test_errors_on_construction(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        MHE(**arguments)


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        ({"neuron_axis": 2}, (3, 4), "`neuron_axis` must be in [-2, 1]"),
        ({"groups": 3}, (3, 4), "`groups` must divide the number of neurons"),
        ({}, (4,), "`weights` must have rank 2 or more"),
    ],
)
def test_errors_on_the_call(arguments, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        MHE(**arguments)(kernel(*shape))


def test_wrong_axis_surfaces_from_the_layer():
    layer = layers.Dense(3, kernel_regularizer=MHE(neuron_axis=2))
    layer.build((None, 4))
    with pytest.raises(ValueError, match=r"`neuron_axis` must be in \[-2, 1\]"):
        layer.losses  # noqa: B018


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0, 1e6])
def test_value_is_strength_times_energy(strength):
    form = {**NON_DEFAULTS, "units": "energy", "strength": strength}
    regularizer = MHE(**form)
    weights = kernel(2, 3, 4)
    value = regularizer(weights)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    expected = reference(weights, regularizer)
    np.testing.assert_allclose(as_float(value), expected, rtol=1e-5)


def test_strength_0_in_training_changes_nothing():
    weights = kernel(4, 3)
    changes = []
    for regularizer in (None, MHE(0.0)):
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(3, kernel_regularizer=regularizer),
            ]
        )
        model.layers[0].set_weights([weights, np.zeros(3)])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.train_on_batch(kernel(8, 4), kernel(8, 3))
        changes.append(model.layers[0].get_weights()[0] - weights)
    np.testing.assert_allclose(changes[0], changes[1], atol=1e-7)


def convolutional_model():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, kernel_regularizer=MHE(0.5, half_space=True)),
            layers.Flatten(),
            layers.Dense(
                3, kernel_regularizer=MHE(2.0, power=0, neuron_axis=(1,))
            ),
        ]
    )


def test_saved_model_loads_without_custom_objects(tmp_path):
    model = convolutional_model()
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for index in (0, 2):
        before = model.layers[index].kernel_regularizer
        after = loaded.layers[index].kernel_regularizer
        assert type(after) is MHE
        assert after.get_config() == before.get_config()
    np.testing.assert_allclose(
        total(loaded.losses), total(model.losses), rtol=1e-6
    )
    inputs = kernel(2, 6, 6, 2)
    np.testing.assert_allclose(
        predictions(loaded, inputs), predictions(model, inputs), rtol=1e-5
    )
    loaded.train_on_batch(inputs, kernel(2, 3))


def test_model_from_json():
    model = convolutional_model()
    restored = keras.models.model_from_json(model.to_json())
    assert json.loads(restored.to_json()) == json.loads(model.to_json())


def test_cloned_model_has_its_own_equal_regularizer():
    model = convolutional_model()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert len(clone.losses) == 2
    np.testing.assert_allclose(
        total(clone.losses), total(model.losses), rtol=1e-6
    )
    for index in (0, 2):
        before = model.layers[index].kernel_regularizer
        after = clone.layers[index].kernel_regularizer
        assert after is not before
        assert after.get_config() == before.get_config()


def test_shared_layer_counts_once():
    shared = layers.Dense(4, kernel_regularizer=MHE(1.5))
    first, second = keras.Input((4,)), keras.Input((4,))
    outputs = layers.add([shared(first), shared(shared(second))])
    model = keras.Model([first, second], outputs)
    assert len(model.losses) == 1
    expected = reference(shared.get_weights()[0], MHE(1.5))
    np.testing.assert_allclose(total(model.losses), expected, rtol=1e-5)


def test_one_instance_may_serve_many_layers():
    regularizer = MHE(0.5)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, kernel_regularizer=regularizer),
            layers.Dense(3, kernel_regularizer=regularizer),
        ]
    )
    expected = sum(
        reference(layer.get_weights()[0], regularizer) for layer in model.layers
    )
    np.testing.assert_allclose(total(model.losses), expected, rtol=1e-5)


def test_frozen_layer_has_no_loss_and_does_not_move():
    model = convolutional_model()
    frozen = model.layers[0]
    frozen.trainable = False
    assert len(model.losses) == 1
    before = frozen.get_weights()[0]
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(kernel(2, 6, 6, 2), kernel(2, 3))
    np.testing.assert_array_equal(frozen.get_weights()[0], before)
    frozen.trainable = True
    assert len(model.losses) == 2

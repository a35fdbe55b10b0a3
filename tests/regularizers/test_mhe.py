"""The `MHE` regularizer: arguments, configuration, life inside models."""

import json
import re

import keras
import numpy as np
import pytest
from keras import layers

from keras_mhe import MHE
from support import numpy_reference
from support.tensors import (
    as_array,
    as_float,
    assert_same_weights,
    dtype_of,
    random_array,
    total,
)

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


def test_strength_is_positional_and_the_rest_keyword_only():
    assert MHE().get_config() == DEFAULTS
    assert MHE(2).get_config() == {**DEFAULTS, "strength": 2.0}
    with pytest.raises(TypeError, match="positional"):
        MHE(2, 1)


@pytest.mark.parametrize(
    "arguments",
    [{}, NON_DEFAULTS, {"neuron_axis": (1,)}],
    ids=["defaults", "others", "tuple"],
)
def test_config_round_trip(arguments):
    regularizer = MHE(**arguments)
    for name, value in arguments.items():
        assert getattr(regularizer, name) == value
    config = regularizer.get_config()
    assert (
        MHE.from_config(json.loads(json.dumps(config))).get_config() == config
    )
    serialized = keras.saving.serialize_keras_object(regularizer)
    assert serialized["registered_name"] == "keras_mhe>MHE"
    restored = keras.regularizers.get(json.loads(json.dumps(serialized)))
    assert type(restored) is MHE
    assert restored.get_config() == config


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
        ({"power": -2}, "`power` must be a finite real number >= 0"),
        ({"distance": "l2"}, "`distance` must be one of 'euclidean', 'ang"),
        ({"half_space": 1}, "`half_space` must be True or False"),
        ({"units": "gaps"}, "`units` must be one of 'energy', 'gap'"),
        (
            {"units": "gap", "distance": "angular"},
            "proven minimum, and angles in full space have none",
        ),
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
    ("arguments", "message"),
    [
        ({"neuron_axis": 2}, r"`neuron_axis` must be in \[-2, 1\]"),
        ({"groups": 2}, "`groups` must divide the number of neurons"),
    ],
)
def test_errors_surface_from_the_layer(arguments, message):
    layer = layers.Dense(3, kernel_regularizer=MHE(**arguments))
    layer.build((None, 4))
    with pytest.raises(ValueError, match=message):
        layer.losses  # noqa: B018


@pytest.mark.parametrize("strength", [0.0, 0.25, 1e6])
def test_value_is_strength_times_energy(strength):
    form = {**NON_DEFAULTS, "units": "energy", "strength": strength}
    weights = random_array(2, 3, 4)
    value = MHE(**form)(weights)
    assert dtype_of(value) == "float32"
    del form["strength"], form["block_size"], form["units"]
    expected = strength * numpy_reference.energy(weights, **form)
    np.testing.assert_allclose(as_float(value), expected, rtol=1e-5)


def test_strength_0_in_training_changes_nothing():
    models = []
    for regularizer in (None, MHE(0.0)):
        keras.utils.set_random_seed(1)
        layer = layers.Dense(3, kernel_regularizer=regularizer)
        model = keras.Sequential([keras.Input((4,)), layer])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.train_on_batch(random_array(8, 4), random_array(8, 3))
        models.append(model)
    assert_same_weights(*models, atol=1e-7)


def test_saved_and_cloned_models_keep_it(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, kernel_regularizer=MHE(0.5, half_space=True)),
            layers.Flatten(),
            layers.Dense(
                3, kernel_regularizer=MHE(2.0, power=0, neuron_axis=(1,)) + "l2"
            ),
        ]
    )
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for other in (loaded, clone):
        for index in (0, 2):
            before = model.layers[index].kernel_regularizer
            after = other.layers[index].kernel_regularizer
            assert type(after) is type(before)
            assert after is not before
            assert after.get_config() == before.get_config()
        np.testing.assert_allclose(
            total(other.losses), total(model.losses), rtol=1e-6
        )
    inputs = random_array(2, 6, 6, 2)
    np.testing.assert_allclose(
        as_array(loaded(inputs)), as_array(model(inputs)), rtol=1e-5
    )
    loaded.train_on_batch(inputs, random_array(2, 3))

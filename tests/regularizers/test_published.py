"""`PublishedMHE`: arguments, factors, configuration.

Its numbers are compared with the published program's in
`functional/test_published_parity.py`.
"""

import json
import math
import re

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe import MHE
from keras_mhe.regularizers import PublishedMHE
from support import numpy_reference
from support.tensors import as_float, total

POWERS = ("0", "1", "2", "a0", "a1", "a2")
KERNEL = np.random.default_rng(0).normal(size=(3, 2, 6)).astype("float32")


def value(regularizer, weights=KERNEL):
    return as_float(regularizer(ops.convert_to_tensor(weights)))


@pytest.mark.parametrize("output_layer", [False, True])
@pytest.mark.parametrize("power_s", POWERS)
@pytest.mark.parametrize("model_name", ["mhe", "half_mhe"])
def test_config_round_trip(model_name, power_s, output_layer):
    term = MHE.from_reference(model_name, power_s, output_layer)
    assert type(term) is PublishedMHE
    config = term.get_config()
    assert config == {
        "model_name": model_name,
        "power_s": power_s,
        "output_layer": output_layer,
    }
    assert json.loads(json.dumps(config)) == config
    assert PublishedMHE.from_config(config).get_config() == config
    serialized = keras.saving.serialize_keras_object(term)
    assert serialized["registered_name"] == "keras_mhe>PublishedMHE"
    restored = keras.regularizers.get(json.loads(json.dumps(serialized)))
    assert restored.get_config() == config
    assert value(restored) == value(term)


@pytest.mark.parametrize("power_s", POWERS)
def test_output_layer_is_ten_times_full_space(power_s):
    hidden = value(MHE.from_reference("mhe", power_s))
    for model_name in ("mhe", "half_mhe"):
        output = MHE.from_reference(model_name, power_s, output_layer=True)
        np.testing.assert_allclose(value(output), 10 * hidden, rtol=1e-6)


@pytest.mark.parametrize(
    ("power_s", "factor", "power"), [("0", 2, 0), ("1", 1, 1), ("2", 1, 2)]
)
@pytest.mark.parametrize("model_name", ["mhe", "half_mhe"])
def test_euclidean_forms_are_the_energy_with_epsilon(
    model_name, power_s, factor, power
):
    expected = factor * numpy_reference.energy(
        KERNEL,
        power=power,
        half_space=model_name == "half_mhe",
        epsilon=1e-4,
    )
    actual = value(MHE.from_reference(model_name, power_s))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("power_s", "formula"),
    [
        ("a0", lambda fraction: -math.log(fraction)),
        ("a1", lambda fraction: 0.1 / fraction),
        ("a2", lambda fraction: 0.1 / fraction**2),
    ],
)
def test_angular_forms_of_a_right_angle(power_s, formula):
    actual = value(MHE.from_reference("mhe", power_s), np.eye(3, dtype="f"))
    np.testing.assert_allclose(actual, formula(0.5 + 1e-4), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("cnn", "0"),
            "`model_name` must be one of 'mhe', 'half_mhe', 'gan', "
            "'sn_gan'. Received: model_name='cnn'.",
        ),
        (
            ("mhe", "3"),
            "`power_s` must be one of '0', '1', '2', 'a0', 'a1', 'a2'. "
            "Received: power_s='3'.",
        ),
        (("mhe", 0), "Received: power_s=0."),
        (
            ("mhe", "0", 1),
            "`output_layer` must be True or False. Received: output_layer=1.",
        ),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        MHE.from_reference(*arguments)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_value_is_float32(dtype):
    result = MHE.from_reference("half_mhe", "a2")(ops.cast(KERNEL, dtype))
    assert keras.backend.standardize_dtype(result.dtype) == "float32"


def test_saved_in_a_model(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(
                3, kernel_regularizer=MHE.from_reference("half_mhe", "a1")
            ),
        ]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0].kernel_regularizer) is PublishedMHE
    np.testing.assert_allclose(
        total(loaded.losses), total(model.losses), rtol=1e-6
    )


@pytest.mark.parametrize("power_s", POWERS)
@pytest.mark.parametrize("model_name", ["mhe", "half_mhe"])
def test_equal_neurons_are_finite(model_name, power_s):
    same = np.full((4, 3), 100.0, "float32")
    assert math.isfinite(value(MHE.from_reference(model_name, power_s), same))

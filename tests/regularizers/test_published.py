"""The published programs' terms: numbers, arguments, configuration.

The numbers of `PublishedMHE` are compared in
`ops/test_published_parity.py`.
"""

import json
import math
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe import MHE
from keras_mhe.regularizers import PublishedGANMHE, PublishedMHE
from support.gradients import MODES, value_and_grad
from support.published import published
from support.tensors import as_float, assert_near, dtype_of, random_array

POWERS = ("0", "1", "2", "a0", "a1", "a2")
KERNEL = random_array(3, 2, 6)
GAN = published("gan.npz")
SHAPES = sorted(k.split(":")[1] for k in GAN if k.startswith("W:"))


def value(regularizer, weights=KERNEL):
    return as_float(regularizer(ops.convert_to_tensor(weights)))


def assert_restored(term, config):
    assert term.get_config() == config
    assert json.loads(json.dumps(config)) == config
    serialized = keras.saving.serialize_keras_object(term)
    name = type(term).__name__
    assert serialized["registered_name"] == f"keras_mhe>{name}"
    restored = keras.regularizers.get(json.loads(json.dumps(serialized)))
    assert type(restored) is type(term)
    assert restored.get_config() == config
    assert value(restored) == value(term)


@pytest.mark.parametrize("output_layer", [False, True])
@pytest.mark.parametrize("power_s", POWERS)
@pytest.mark.parametrize("model_name", ["mhe", "half_mhe"])
def test_config_round_trip(model_name, power_s, output_layer):
    term = MHE.from_reference(model_name, power_s, output_layer)
    assert type(term) is PublishedMHE
    config = {
        "model_name": model_name,
        "power_s": power_s,
        "output_layer": output_layer,
    }
    assert_restored(term, config)
    # An MHE whose mini-batch form, of all neurons, is the whole.
    assert isinstance(term, MHE)
    of_all = term(ops.convert_to_tensor(KERNEL), anchors=range(6))
    np.testing.assert_allclose(as_float(of_all), value(term), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "strength"), [("gan", 2e-6), ("sn_gan", 2e-7)]
)
def test_shipped_strengths(name, strength):
    term = MHE.from_reference(name)
    assert type(term) is PublishedGANMHE
    assert isinstance(term, MHE)
    assert_restored(term, {"strength": strength})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_value_is_float32(dtype):
    result = MHE.from_reference("half_mhe", "a2")(ops.cast(KERNEL, dtype))
    assert dtype_of(result) == "float32"


@pytest.mark.parametrize("power_s", POWERS)
@pytest.mark.parametrize("model_name", ["mhe", "half_mhe"])
def test_equal_neurons_are_finite(model_name, power_s):
    same = np.full((4, 3), 100.0, "float32")
    assert math.isfinite(value(MHE.from_reference(model_name, power_s), same))


# The GAN's.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_published_gan_energy(shape, mode):
    assert len(SHAPES) == 3
    evaluation = value_and_grad(
        PublishedGANMHE(1e-7), GAN[f"W:{shape}"], mode=mode
    )
    expected = GAN[f"gan_mhe:{shape}:value"]
    np.testing.assert_allclose(evaluation.value, expected, rtol=1e-5)
    assert_near(evaluation.gradient, GAN[f"gan_mhe:{shape}:grad"], 1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_gan_formula(scale):
    """Full space of vectors and their opposites, written as one vector each."""
    kernel = np.float32(scale) * KERNEL
    vectors = kernel.astype("float64").reshape(-1, 6).T
    doubled = np.concatenate([vectors, -vectors], axis=1)
    units = doubled / np.sqrt(np.sum(doubled**2, axis=1, keepdims=True) + 1e-4)
    # The program's table has zeros below and on its diagonal.
    table = np.triu(2.0 - 2.0 * units @ units.T, 1)
    expected = -0.5 * np.mean(np.log(table + 1e-4))
    actual = value(PublishedGANMHE(0.5), kernel)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_one_neuron_is_a_constant():
    evaluation = value_and_grad(PublishedGANMHE(1.0), KERNEL[:, 0, :1])
    np.testing.assert_allclose(evaluation.value, -np.log(1e-4), rtol=1e-6)
    np.testing.assert_array_equal(evaluation.gradient, np.zeros((3, 1)))


@pytest.mark.parametrize(
    "kernel",
    [np.zeros((3, 3)), np.ones((3, 3)), 1e30 * np.eye(3)],
    ids=["zero", "equal", "huge"],
)
def test_degenerate_kernels_are_finite(kernel):
    evaluation = value_and_grad(PublishedGANMHE(1.0), kernel)
    assert np.isfinite(evaluation.value)
    assert np.isfinite(evaluation.gradient).all()


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
        (("mhe",), "`power_s` must be one of"),
        (
            ("mhe", "0", 1),
            "`output_layer` must be True or False. Received: output_layer=1.",
        ),
        (("gan", "0"), "has no `power_s`"),
        (("sn_gan", None, True), "has no `power_s` and no `output_layer`"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        MHE.from_reference(*arguments)


def test_wrong_strength():
    with pytest.raises(ValueError, match="`strength` must be a finite real"):
        PublishedGANMHE(-1.0)

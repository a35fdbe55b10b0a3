"""The constraint `SpectralNorm`: the bound holds while a layer trains."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe.constraints import SpectralNorm
from keras_mhe.functional import singular_values
from support.constrained_layers import CASES, TRAINED, trained_kernel

RNG = np.random.default_rng(0)


def as_array(tensor):
    return ops.convert_to_numpy(tensor)


def largest(kernel, axis=-1):
    return as_array(singular_values(kernel, neuron_axis=axis))[0]


@pytest.mark.parametrize(("case", "way", "policy"), TRAINED)
@pytest.mark.parametrize("mode", ["scale", "clip"])
def test_bound_holds_after_training(case, mode, way, policy):
    axis = CASES[case][-1]["neuron_axis"]
    constraint = SpectralNorm(0.5, mode=mode, neuron_axis=axis)
    before, kernel = trained_kernel(case, constraint, way, policy)
    assert not np.allclose(as_array(kernel), before)
    assert largest(kernel, axis) <= 0.5 * (1.0 + 5e-6)
    assert kernel.dtype == "float32"


@pytest.mark.parametrize(
    ("mode", "expected"), [("scale", [0.5, 0.25]), ("clip", [0.5, 0.5])]
)
def test_modes(mode, expected):
    kernel = ops.convert_to_tensor(np.diag([4.0, 2.0]).astype("float32"))
    projected = SpectralNorm(0.5, mode=mode)(kernel)
    np.testing.assert_allclose(
        as_array(projected), np.diag(expected), rtol=1e-6
    )


def test_kernels_within_the_bound_are_left_alone():
    kernel = RNG.normal(size=(4, 3)).astype("float32")
    constraint = SpectralNorm(10.0)
    np.testing.assert_array_equal(as_array(constraint(kernel)), kernel)


@pytest.mark.parametrize("axis", [-1, (1, 2)])
def test_configuration(axis):
    constraint = SpectralNorm(2, mode="clip", neuron_axis=axis)
    config = constraint.get_config()
    assert config["max_value"] == 2.0
    serialized = keras.saving.serialize_keras_object(constraint)
    assert serialized["registered_name"] == "keras_mhe>SpectralNorm"
    restored = keras.constraints.get(json.loads(json.dumps(serialized)))
    assert restored.get_config() == config


def test_saved_in_a_model(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(2, kernel_constraint=SpectralNorm(0.3)),
        ]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].kernel_constraint.get_config() == {
        "max_value": 0.3,
        "mode": "scale",
        "neuron_axis": -1,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_value": 0.0}, "`max_value` must be a finite real number > 0"),
        ({"mode": "cut"}, "`mode` must be one of"),
        ({"neuron_axis": ()}, "`neuron_axis` must be an integer"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpectralNorm(**arguments)


def test_wrong_rank():
    with pytest.raises(ValueError, match="`weights` must have rank 2"):
        SpectralNorm()(np.ones(3, "float32"))

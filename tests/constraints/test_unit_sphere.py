"""The constraint `UnitSphere`: every neuron has the length of the radius."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe.constraints import UnitSphere
from keras_mhe.functional import on_sphere
from support import numpy_reference
from support.constrained_layers import CASES, TRAINED, trained_kernel

RNG = np.random.default_rng(0)


def as_array(tensor):
    return ops.convert_to_numpy(tensor)


def lengths(kernel, axis=-1):
    rows = numpy_reference.neuron_vectors(as_array(kernel), axis)
    return np.array([np.linalg.norm(row) for row in rows])


@pytest.mark.parametrize(("case", "way", "policy"), TRAINED)
def test_lengths_after_training(case, way, policy):
    axis = CASES[case][-1]["neuron_axis"]
    constraint = UnitSphere(0.5, neuron_axis=axis)
    before, kernel = trained_kernel(case, constraint, way, policy)
    np.testing.assert_allclose(lengths(kernel, axis), 0.5, rtol=1e-6)
    assert not np.allclose(as_array(kernel), before)
    assert kernel.dtype == "float32"


@pytest.mark.parametrize("size", [1e-36, 1.0, 1e37])
def test_directions_stay(size):
    kernel = RNG.uniform(0.1, 1.0, size=(4, 3)) * size
    unit = kernel / size / np.linalg.norm(kernel / size, axis=0)
    np.testing.assert_allclose(
        as_array(on_sphere(kernel.astype("float32"), 2.0)), 2 * unit, rtol=1e-5
    )


def test_neurons_without_a_direction_stay():
    kernel = RNG.normal(size=(4, 5)).astype("float32")
    kernel[:, 0] = 0.0
    kernel[1, 1] = np.nan
    kernel[1, 2] = -np.inf
    scaled = as_array(UnitSphere()(kernel))
    np.testing.assert_array_equal(scaled[:, :3], kernel[:, :3])
    np.testing.assert_allclose(lengths(scaled[:, 3:]), 1.0, rtol=1e-6)


# JAX has no float64 unless it is asked for.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
@pytest.mark.parametrize(
    ("dtype", "rtol"),
    [("float16", 2e-3), ("bfloat16", 2e-2), ("float64", 1e-6)],
)
def test_dtypes(dtype, rtol):
    kernel = ops.cast(RNG.normal(size=(4, 3)), dtype)
    scaled = UnitSphere()(kernel)
    assert scaled.dtype == kernel.dtype
    if keras.backend.standardize_dtype(scaled.dtype) == "float64":
        rtol = 1e-12
    scaled = as_array(ops.cast(scaled, "float32" if rtol > 1e-9 else dtype))
    np.testing.assert_allclose(lengths(scaled), 1.0, rtol=rtol)


@pytest.mark.parametrize("axis", [-1, (1, 2)])
def test_configuration(axis):
    constraint = UnitSphere(2, neuron_axis=axis)
    config = constraint.get_config()
    serialized = keras.saving.serialize_keras_object(constraint)
    assert serialized["registered_name"] == "keras_mhe>UnitSphere"
    restored = keras.constraints.get(json.loads(json.dumps(serialized)))
    assert restored.get_config() == config
    assert restored.radius == 2.0
    assert restored.neuron_axis == axis


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": 0.0}, "`radius` must be a finite real number > 0"),
        ({"radius": True}, "`radius` must be a finite real number > 0"),
        ({"neuron_axis": ()}, "`neuron_axis` must be an integer"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        UnitSphere(**arguments)


def test_wrong_rank():
    with pytest.raises(ValueError, match="`weights` must have rank 2"):
        UnitSphere()(np.ones(3, "float32"))

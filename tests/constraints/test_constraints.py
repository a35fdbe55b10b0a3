"""What every constraint owes, and the values of those of one formula."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe.constraints import (
    EnergyDescent,
    MaxEnergy,
    SpectralNorm,
    UnitSphere,
)
from keras_mhe.ops import project_to_sphere
from support.tensors import as_array, lengths

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "constraint",
    [
        EnergyDescent(3, rate=0.2, power=0, distance="angular"),
        EnergyDescent(half_space=True, neuron_axis=(0, 1), groups=2),
        MaxEnergy(0.7, block_size=64),
        MaxEnergy(gap=0.2, steps=3),
        SpectralNorm(0.3),
        SpectralNorm(2, mode="clip", neuron_axis=(0, 1)),
        UnitSphere(2, neuron_axis=0),
    ],
)
def test_saved_in_a_model(constraint, tmp_path):
    config = constraint.get_config()
    assert json.loads(json.dumps(config)) == config
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, kernel_constraint=constraint)]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    restored = loaded.layers[0].kernel_constraint
    assert type(restored) is type(constraint)
    assert restored.get_config() == config


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (EnergyDescent, {"steps": 1.5}, "`steps` must be an integer >= 1"),
        (EnergyDescent, {"rate": -1}, "`rate` must be a finite real"),
        (EnergyDescent, {"distance": "l1"}, "`distance` must be one of"),
        (MaxEnergy, {}, "Exactly one of `limit` and `gap`"),
        (MaxEnergy, {"limit": 1.0, "gap": 1.0}, "Exactly one of"),
        (MaxEnergy, {"gap": -0.1}, "`gap` must be a finite real number >= 0"),
        (MaxEnergy, {"limit": "low"}, "`limit` must be a finite real number"),
        (SpectralNorm, {"max_value": 0.0}, "`max_value` must be a finite real"),
        (SpectralNorm, {"mode": "cut"}, "`mode` must be one of"),
        (SpectralNorm, {"neuron_axis": ()}, "`neuron_axis` must be an integer"),
        (UnitSphere, {"radius": 0.0}, "`radius` must be a finite real number"),
        (UnitSphere, {"neuron_axis": ()}, "`neuron_axis` must be an integer"),
    ],
)
def test_wrong_arguments(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


@pytest.mark.parametrize("constraint", [SpectralNorm(), UnitSphere()])
def test_wrong_rank(constraint):
    with pytest.raises(ValueError, match="`weights` must have rank 2"):
        constraint(np.ones(3, "float32"))


@pytest.mark.parametrize(
    ("mode", "expected"), [("scale", [0.5, 0.25]), ("clip", [0.5, 0.5])]
)
def test_modes_of_the_spectral_norm(mode, expected):
    kernel = ops.convert_to_tensor(np.diag([4.0, 2.0]).astype("float32"))
    projected = as_array(SpectralNorm(0.5, mode=mode)(kernel))
    np.testing.assert_allclose(projected, np.diag(expected), rtol=1e-6)
    np.testing.assert_array_equal(SpectralNorm(9.0, mode=mode)(kernel), kernel)


@pytest.mark.parametrize("size", [1e-36, 1.0, 1e37])
def test_directions_stay_on_a_sphere(size):
    kernel = RNG.uniform(0.1, 1.0, size=(4, 3)) * size
    unit = kernel / size / np.linalg.norm(kernel / size, axis=0)
    np.testing.assert_allclose(
        as_array(project_to_sphere(kernel.astype("float32"), 2.0)),
        2 * unit,
        rtol=1e-5,
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
def test_dtypes_of_the_sphere(dtype, rtol):
    kernel = ops.cast(RNG.normal(size=(4, 3)), dtype)
    scaled = UnitSphere()(kernel)
    assert scaled.dtype == kernel.dtype
    if keras.backend.standardize_dtype(scaled.dtype) == "float64":
        rtol = 1e-12
    scaled = ops.cast(scaled, "float32" if rtol > 1e-9 else dtype)
    np.testing.assert_allclose(lengths(scaled), 1.0, rtol=rtol)

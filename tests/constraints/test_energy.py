"""The constraints `EnergyDescent` and `MaxEnergy` while a layer trains."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe.analysis import energy_gap
from keras_mhe.constraints import EnergyDescent, MaxEnergy
from keras_mhe.functional import hyperspherical_energy
from support.constrained_layers import CASES, TRAINED, trained_kernel
from support.tensors import as_float

RNG = np.random.default_rng(0)


def as_array(tensor):
    return ops.convert_to_numpy(tensor)


def energy(kernel, **form):
    return as_float(hyperspherical_energy(as_array(kernel), **form))


@pytest.mark.parametrize(("case", "way", "policy"), TRAINED)
def test_descent_while_training(case, way, policy):
    form = CASES[case][-1]
    options = {"steps": 2, "rate": 0.5, "half_space": True, **form}
    form = {"half_space": True, **form}
    _, free = trained_kernel(case, None, way, policy)
    before, kernel = trained_kernel(case, EnergyDescent(**options), way, policy)
    assert kernel.dtype == "float32"
    assert not np.allclose(as_array(kernel), before)
    assert np.isfinite(as_array(kernel)).all()
    if case == "one neuron":
        np.testing.assert_allclose(as_array(kernel), as_array(free), atol=1e-5)
        return
    assert energy(kernel, **form) < energy(before, **form)
    assert energy(kernel, **form) < energy(free, **form)


@pytest.mark.parametrize(("case", "way", "policy"), TRAINED)
def test_level_holds_after_training(case, way, policy):
    form = CASES[case][-1]
    before, kernel = trained_kernel(case, None, way, policy, steps=1)
    # Halfway to what a long descent finds.
    lowest = energy(EnergyDescent(200, rate=1.0, **form)(before), **form)
    limit = 0.5 * (energy(before, **form) + lowest)
    constraint = MaxEnergy(limit, steps=50, **form)
    before, kernel = trained_kernel(case, constraint, way, policy)
    assert energy(kernel, **form) <= limit + 1e-6 * abs(limit)
    assert kernel.dtype == "float32"
    assert not np.allclose(as_array(kernel), before)


def test_level_by_a_gap():
    kernel = RNG.normal(size=(8, 3, 20)).astype("float32")
    form = {"power": 1, "half_space": True, "groups": 2}
    constraint = MaxEnergy(gap=0.4, steps=200, **form)
    reached = energy(constraint(kernel), **form)
    shown = {"power": 1, "half_space": True}
    assert energy_gap(energy(kernel, **form), 10, 24, **shown) > 0.6
    assert 0.2 < energy_gap(reached, 10, 24, **shown) <= 0.4 + 1e-5


def test_kernels_below_the_level_are_left_alone():
    kernel = RNG.normal(size=(8, 6)).astype("float32")
    for constraint in (MaxEnergy(energy(kernel) + 1e-4), MaxEnergy(gap=9.0)):
        np.testing.assert_array_equal(as_array(constraint(kernel)), kernel)


@pytest.mark.parametrize("shape", [(8, 1), (1, 8)])
def test_a_gap_without_pairs_or_directions_changes_nothing(shape):
    kernel = RNG.normal(size=shape).astype("float32")
    np.testing.assert_array_equal(as_array(MaxEnergy(gap=0.1)(kernel)), kernel)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_gap_is_that_of_the_living(groups):
    living = RNG.normal(size=(8, 12)).astype("float32")
    dead = np.zeros((8, 4), "float32")
    kernel = np.concatenate([living, dead], axis=1)
    if groups == 2:
        kernel = np.concatenate([kernel, kernel], axis=1)
    bound = MaxEnergy(gap=0.3, half_space=True, groups=groups, steps=30)
    turned = as_array(bound(kernel))
    np.testing.assert_array_equal(turned[:, 12:16], dead)
    alone = as_array(MaxEnergy(gap=0.3, half_space=True, steps=30)(living))
    if groups == 1:
        np.testing.assert_allclose(turned[:, :12], alone, atol=1e-5)
    gap = energy_gap(
        energy(turned[:, :12], half_space=True), 12, 8, half_space=True
    )
    np.testing.assert_array_less(gap, 0.3 + 1e-5)
    assert gap > 0.1


def test_a_level_that_is_not_reached():
    kernel = RNG.normal(size=(8, 6)).astype("float32")
    energies = [energy(kernel)]
    for _ in range(4):
        kernel = MaxEnergy(gap=0.0, steps=2)(kernel)
        energies.append(energy(kernel))
    assert (np.diff(energies) < 0.0).all()


def test_a_gap_needs_a_random_level():
    kernel = RNG.normal(size=(3, 6)).astype("float32")
    with pytest.raises(ValueError, match="`power` below 2"):
        MaxEnergy(gap=0.5, power=2)(kernel)


@pytest.mark.parametrize(
    "constraint",
    [
        EnergyDescent(3, rate=0.2, power=0, distance="angular"),
        EnergyDescent(half_space=True, neuron_axis=(0, 1), groups=2),
        MaxEnergy(0.7, block_size=64),
        MaxEnergy(gap=0.2, steps=3),
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
        (EnergyDescent, {"half_space": 1}, "`half_space` must be True or"),
        (MaxEnergy, {}, "Exactly one of `limit` and `gap`"),
        (MaxEnergy, {"limit": 1.0, "gap": 1.0}, "Exactly one of"),
        (MaxEnergy, {"gap": -0.1}, "`gap` must be a finite real number >= 0"),
        (MaxEnergy, {"limit": "low"}, "`limit` must be a finite real number"),
    ],
)
def test_wrong_arguments(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)

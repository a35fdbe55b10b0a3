"""The constraint `MaxEnergy`: levels, gaps, and kernels without either."""

import numpy as np
import pytest

from keras_mhe.analysis import energy_gap
from keras_mhe.constraints import MaxEnergy
from keras_mhe.ops import hyperspherical_energy
from support.tensors import as_array, as_float

RNG = np.random.default_rng(0)


def energy(kernel, **form):
    return as_float(hyperspherical_energy(as_array(kernel), **form))


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

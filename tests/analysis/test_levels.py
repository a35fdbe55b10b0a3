"""Random and minimal energies against closed forms and references."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from keras_mhe.analysis import (
    energy_bound,
    energy_gap,
    minimum_energy,
    random_energy,
)
from keras_mhe.ops import lower_energy
from keras_mhe.ops._levels.random import rises_of_levels
from keras_mhe.ops._pairs.form import EnergyForm
from support import numpy_reference

pytestmark = pytest.mark.once

FORMS = [
    {"power": power, "distance": distance, "half_space": half_space}
    for power in (0, 0.5, 1, 2)
    for distance in ("euclidean", "angular")
    for half_space in (False, True)
]


def random_excess(num_neurons, dim, **form):
    """Random energy above the minimum, with all its digits."""
    lowest, random = rises_of_levels(EnergyForm(**form), num_neurons, dim)
    return random - lowest


def test_levels_of_all_sizes():
    """From the circle to 1e7 entries, and powers just below `dim - 1`."""
    file = Path(__file__).parents[1] / "reference" / "levels.json"
    for *sizes, power, distance, half_space, level, excess in json.loads(
        file.read_text()
    )["rows"]:
        form = {"power": power, "distance": distance, "half_space": half_space}
        actual = random_energy(*sizes, **form)
        assert actual == pytest.approx(level, rel=1e-9, abs=1e-12), (
            sizes,
            form,
        )
        actual = random_excess(*sizes, **form)
        assert actual == pytest.approx(excess, rel=1e-8), (sizes, form)


@pytest.mark.parametrize("distance", ["euclidean", "angular"])
def test_level_nears_the_logarithm_as_the_power_falls(distance):
    # r**-s is 1 - s log r for a power s near 0.
    log_excess = random_excess(9, 40, power=0, distance=distance)
    tiny = random_excess(9, 40, power=1e-200, distance=distance)
    assert tiny == pytest.approx(1e-200 * log_excess, rel=1e-9)


# 64 neurons have 2016 pairs, each with its own cosine.
@pytest.mark.parametrize(
    ("num_neurons", "dim"),
    [(64, 16384), (64, 25088), (64, 50176), (64, 100352), (8, 10**6)],
)
def test_random_neurons_of_any_width_have_a_gap_of_1(num_neurons, dim):
    weights = np.random.default_rng(0).normal(size=(dim, num_neurons))
    excess = numpy_reference.excess(weights, half_space=True)
    energy = minimum_energy(num_neurons, dim, half_space=True) + excess
    gap = energy_gap(energy, num_neurons, dim, half_space=True)
    error = math.sqrt(2 / math.comb(num_neurons, 2))
    assert gap == pytest.approx(1.0, abs=3 * error)
    exact = excess / random_excess(num_neurons, dim, half_space=True)
    assert gap == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_random_neurons_have_a_gap_of_1_in_any_form(form):
    weights = np.random.default_rng(0).normal(size=(4096, 64))
    cosine = 0.0 if form["half_space"] else -1 / 63
    excess = numpy_reference.excess(weights, cosine, **form)
    assert excess / random_excess(64, 4096, **form) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("distance", ["euclidean", "angular"])
@pytest.mark.parametrize("half_space", [False, True])
def test_infinite_level(distance, half_space):
    form = {"distance": distance, "half_space": half_space}
    for dim, power in ((2, 1), (2, 5000), (3, 2), (3, 5.5), (4, 3.0)):
        assert random_energy(5, dim, power=power, **form) == math.inf
        assert math.isnan(energy_gap(1.0, 5, dim, power=power, **form))
        assert math.isfinite(minimum_energy(5, dim, power=power, **form))
        assert random_excess(5, dim, power=power, **form) == math.inf
    assert math.isfinite(random_energy(5, 3, power=1.99, **form))


def test_no_gap_of_energies_too_small_for_a_float():
    assert math.isnan(energy_gap(0.0, 8, 10_000, power=5000))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_gap_is_0_at_the_minimum_and_1_at_random(form):
    lowest = minimum_energy(7, 5, **form)
    random = random_energy(7, 5, **form)
    assert lowest < random
    assert energy_gap(lowest, 7, 5, **form) == 0.0
    assert energy_gap(random, 7, 5, **form) == pytest.approx(1.0)
    middle = (lowest + random) / 2
    assert energy_gap(middle, 7, 5, **form) == pytest.approx(0.5)
    assert energy_gap(2 * random - lowest, 7, 5, **form) > 1


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_small_gaps_of_wide_layers(form):
    sizes = 512, 10**6
    lowest, excess = (
        minimum_energy(*sizes, **form),
        random_excess(*sizes, **form),
    )
    for gap in (-0.01, 0.001, 0.5):
        found = energy_gap(lowest + gap * excess, *sizes, **form)
        assert found == pytest.approx(gap, abs=1e-8)


@pytest.mark.parametrize("level", [random_energy, minimum_energy])
@pytest.mark.parametrize(
    ("sizes", "arguments", "message"),
    [
        ((1, 5), {}, "`num_neurons` must be an integer >= 2. Received: num_n"),
        ((5, 1), {}, "`dim` must be an integer >= 2. Received: dim=1."),
        ((5, 2.0), {}, "`dim` must be an integer >= 2. Received: dim=2.0."),
        ((5, 5), {"power": -1}, "`power` must be a finite real number >= 0."),
    ],
)
def test_errors(level, sizes, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        level(*sizes, **arguments)
    with pytest.raises(ValueError, match=re.escape(message)):
        energy_gap(1.0, *sizes, **arguments)


# Bounds.


def arrangement_of(name, num_neurons, dim):
    """Neurons, in rows, that attain a bound."""
    if name == "simplex":
        # The corners of a simplex, turned into `num_neurons - 1` entries.
        corners = np.eye(num_neurons) - 1.0 / num_neurons
        left, sizes, _ = np.linalg.svd(corners)
        rows = left[:, :-1] * sizes[:-1]
        return np.pad(rows, ((0, 0), (0, dim - num_neurons + 1)))
    if name == "cross-polytope":
        return np.concatenate([np.eye(dim), -np.eye(dim)])
    return np.eye(dim)[:num_neurons]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(
    ("num_neurons", "dim"), [(2, 2), (3, 5), (4, 3), (4, 2), (6, 3), (8, 4)]
)
def test_attained_bounds_are_energies(form, num_neurons, dim):
    bound = energy_bound(num_neurons, dim, **form)
    if bound is None:
        assert form["distance"] == "angular"
        assert not form["half_space"]
        return
    assert bound.energy == minimum_energy(num_neurons, dim, **form)
    if not bound.is_attained:
        assert form["half_space"]
        assert bound.arrangement == "equiangular"
        return
    rows = arrangement_of(bound.arrangement, num_neurons, dim)
    actual = numpy_reference.energy(rows, neuron_axis=0, **form)
    np.testing.assert_allclose(actual, bound.energy, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(("num_neurons", "dim"), [(3, 4), (6, 3), (7, 3)])
def test_no_directions_are_below_the_minimum(form, num_neurons, dim):
    lowest = minimum_energy(num_neurons, dim, **form)
    for seed in range(10):
        rows = np.random.default_rng(seed).normal(size=(num_neurons, dim))
        energy = numpy_reference.energy(rows, neuron_axis=0, **form)
        assert energy > lowest


@pytest.mark.parametrize("distance", ["euclidean", "angular"])
@pytest.mark.parametrize("power", [0, 2])
def test_equiangular_lines_attain_the_bound(distance, power):
    form = {"power": power, "distance": distance, "half_space": True}
    angles = np.arange(3) * math.pi / 3  # In the plane at 60 degrees.
    lines = np.stack([np.cos(angles), np.sin(angles)])
    energy = numpy_reference.energy(lines, **form)
    assert minimum_energy(3, 2, **form) == pytest.approx(energy, rel=1e-9)


@pytest.mark.parametrize(
    ("num_neurons", "dim", "half_space", "expected"),
    [
        (5, 4, False, ("simplex", True)),
        (6, 4, False, ("simplex", False)),
        (8, 4, False, ("cross-polytope", True)),
        (9, 4, False, ("simplex", False)),
        (4, 4, True, ("orthogonal", True)),
        (5, 4, True, ("equiangular", False)),
    ],
)
def test_which_bound(num_neurons, dim, half_space, expected):
    bound = energy_bound(num_neurons, dim, half_space=half_space)
    assert (bound.arrangement, bound.is_attained) == expected


def test_angles_in_full_space_are_proven_for_two_neurons():
    bound = energy_bound(2, 3, power=1, distance="angular")
    assert bound.energy == pytest.approx(1.0 / math.pi)
    assert energy_bound(3, 3, power=1, distance="angular") is None


@pytest.mark.parametrize("half_space", [False, True])
@pytest.mark.parametrize(("num_neurons", "dim"), [(5, 8), (9, 8), (7, 3)])
def test_descent_ends_at_the_bound_or_above(num_neurons, dim, half_space):
    form = {"power": 1, "half_space": half_space}
    rng = np.random.default_rng(11)
    start = rng.normal(size=(dim, num_neurons)).astype("float32")
    lowest = lower_energy(start, rate=1.0, steps=200, **form)
    energy = numpy_reference.energy(ops.convert_to_numpy(lowest), **form)
    bound = energy_bound(num_neurons, dim, **form)
    assert energy > bound.energy * (1.0 - 1e-5)
    if bound.is_attained:
        assert energy < bound.energy * (1.0 + 1e-3)

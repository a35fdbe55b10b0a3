"""Random and minimal energies against closed forms and references."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from scipy.special import digamma, gammaln

from keras_mhe.analysis import (
    energy_bound,
    energy_gap,
    minimum_energy,
    optimal_cosine,
    random_energy,
)
from keras_mhe.functional import hyperspherical_energy, lowered_energy
from keras_mhe.functional._levels import random_excess
from support import numpy_reference

pytestmark = pytest.mark.once

DIMS = (2, 3, 4, 8, 27, 64, 576, 4608)
FORMS = [
    {"power": power, "distance": distance, "half_space": half_space}
    for power in (0, 0.5, 1, 2)
    for distance in ("euclidean", "angular")
    for half_space in (False, True)
]


def riesz_level(dim, power):
    """Mean of `r**-power` for random directions, by Gamma functions."""
    return math.exp(
        (dim - power - 2) * math.log(2)
        + gammaln(dim / 2)
        + gammaln((dim - 1 - power) / 2)
        - 0.5 * math.log(math.pi)
        - gammaln(dim - 1 - power / 2)
    )


def log_level(dim):
    psi = digamma((dim - 1) / 2) - digamma(dim - 1)
    return -math.log(2) - psi / 2


@pytest.mark.parametrize("dim", DIMS)
def test_logarithmic_level(dim):
    actual = random_energy(2, dim, power=0)
    np.testing.assert_allclose(actual, log_level(dim), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("power", [0.5, 0.9, 1, 1.5, 2, 3.7, 6])
def test_riesz_level(dim, power):
    actual = random_energy(2, dim, power=power)
    if power >= dim - 1:
        assert actual == math.inf
    else:
        np.testing.assert_allclose(actual, riesz_level(dim, power), rtol=1e-10)


def test_the_numbers_on_record():
    assert random_energy(2, 8, power=2) == pytest.approx(0.6, rel=1e-9)
    assert random_energy(2, 64, power=2) == pytest.approx(0.5082, abs=5e-5)


@pytest.mark.parametrize("power", [0, 0.5])
def test_angular_level_on_the_circle(power):
    # Angles of the circle are uniform on [0, pi].
    exact = 1 - math.log(math.pi) if power == 0 else 2 / math.sqrt(math.pi)
    actual = random_energy(2, 2, power=power, distance="angular")
    np.testing.assert_allclose(actual, exact, rtol=1e-9)


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
def test_minimum_is_attained(form):
    if form["half_space"]:
        # Orthonormal, and three lines in the plane at 60 degrees.
        angles = np.arange(3) * math.pi / 3
        plane = np.stack([np.cos(angles), np.sin(angles)])
        codes = [np.eye(4), np.eye(6)[:, :3], plane]
    else:
        codes = [np.eye(4) - 0.25, np.eye(3) - 1 / 3]
    for code in codes:
        dim = np.linalg.matrix_rank(code)
        energy = numpy_reference.energy(code, **form)
        num_neurons = code.shape[1]
        np.testing.assert_allclose(
            minimum_energy(num_neurons, max(int(dim), 2), **form),
            energy,
            rtol=1e-7,
        )


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(("num_neurons", "dim"), [(2, 2), (5, 4), (9, 4)])
def test_random_directions_are_above_the_minimum(form, num_neurons, dim):
    lowest = minimum_energy(num_neurons, dim, **form)
    for seed in range(5):
        weights = np.random.default_rng(seed).normal(size=(dim, num_neurons))
        assert numpy_reference.energy(weights, **form) >= lowest


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


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_excess_of_the_reference_is_a_difference(form):
    weights = np.random.default_rng(1).normal(size=(4, 7))
    energy = numpy_reference.fast_energy(weights, **form)
    cosine = optimal_cosine(7, 4, half_space=form["half_space"])
    excess = numpy_reference.excess(weights, cosine, **form)
    assert energy - excess == pytest.approx(minimum_energy(7, 4, **form))


@pytest.mark.parametrize("level", [random_energy, minimum_energy])
@pytest.mark.parametrize(
    ("sizes", "arguments", "message"),
    [
        ((1, 5), {}, "`num_neurons` must be an integer >= 2. Received: num_n"),
        ((5, 1), {}, "`dim` must be an integer >= 2. Received: dim=1."),
        ((5, 2.0), {}, "`dim` must be an integer >= 2. Received: dim=2.0."),
        ((5, 5), {"power": -1}, "`power` must be a finite real number >= 0."),
        ((5, 5), {"distance": "l1"}, "`distance` must be one of"),
        ((5, 5), {"half_space": 1}, "`half_space` must be True or False."),
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
def test_no_directions_are_below_the_bound(form, num_neurons, dim):
    bound = energy_bound(num_neurons, dim, **form)
    if bound is None:
        return
    rng = np.random.default_rng(3)
    for _ in range(20):
        rows = rng.normal(size=(num_neurons, dim))
        energy = numpy_reference.energy(rows, neuron_axis=0, **form)
        assert energy > bound.energy


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
@pytest.mark.parametrize(
    ("num_neurons", "dim"), [(5, 8), (9, 8), (12, 6), (7, 3), (10, 4)]
)
def test_descent_ends_at_the_bound_or_above(num_neurons, dim, half_space):
    form = {"power": 1, "half_space": half_space}
    rng = np.random.default_rng(11)
    start = rng.normal(size=(dim, num_neurons)).astype("float32")
    lowest = lowered_energy(start, rate=1.0, steps=400, **form)
    energy = float(ops.convert_to_numpy(hyperspherical_energy(lowest, **form)))
    bound = energy_bound(num_neurons, dim, **form)
    assert energy > bound.energy * (1.0 - 1e-5)
    if bound.is_attained:
        assert energy < bound.energy * (1.0 + 1e-3)

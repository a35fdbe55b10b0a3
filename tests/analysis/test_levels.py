"""Random and minimal energies against closed forms and Monte Carlo."""

import math
import re

import numpy as np
import pytest
from keras import ops
from scipy.special import digamma, gammaln

from keras_mhe.analysis import (
    energy_bound,
    energy_gap,
    minimum_energy,
    random_energy,
)
from keras_mhe.functional import hyperspherical_energy, lowered_energy
from support import numpy_reference

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
    np.testing.assert_allclose(actual, log_level(dim), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("power", [0.5, 0.9, 1, 1.5, 2, 3.7, 6])
def test_riesz_level(dim, power):
    actual = random_energy(2, dim, power=power)
    if power >= dim - 1:
        assert actual == math.inf
    else:
        np.testing.assert_allclose(actual, riesz_level(dim, power), rtol=1e-8)


def test_the_numbers_on_record():
    assert random_energy(2, 8, power=2) == pytest.approx(0.6, rel=1e-9)
    assert random_energy(2, 64, power=2) == pytest.approx(0.5082, abs=5e-5)


@pytest.mark.parametrize("power", [0, 0.5])
def test_angular_level_on_the_circle(power):
    # Angles of the circle are uniform on [0, pi].
    exact = 1 - math.log(math.pi) if power == 0 else 2 / math.sqrt(math.pi)
    actual = random_energy(2, 2, power=power, distance="angular")
    np.testing.assert_allclose(actual, exact, rtol=1e-9)


@pytest.mark.parametrize("half_space", [False, True])
@pytest.mark.parametrize("distance", ["euclidean", "angular"])
@pytest.mark.parametrize(("power", "dim"), [(0, 3), (1, 5), (2, 9)])
def test_monte_carlo(power, dim, distance, half_space):
    rng = np.random.default_rng(0)
    num_neurons = 4
    pairs = rng.normal(size=(2, 200_000, dim))
    units = pairs / np.linalg.norm(pairs, axis=-1, keepdims=True)
    cosines = (units[0] * units[1]).sum(-1)

    def potential(cosine):
        if distance == "euclidean":
            separation = np.sqrt(2 - 2 * cosine)
        else:
            separation = np.arccos(cosine)
        return -np.log(separation) if power == 0 else separation**-power

    samples = potential(cosines)
    if half_space:
        mixed = (samples + potential(-cosines)) / 2
        others = 2 * (num_neurons - 1)
        samples = (others * mixed + potential(np.array(-1.0))) / (others + 1)
    error = samples.std() / math.sqrt(samples.size)
    actual = random_energy(
        num_neurons,
        dim,
        power=power,
        distance=distance,
        half_space=half_space,
    )
    assert abs(actual - samples.mean()) < 5 * error


@pytest.mark.parametrize("distance", ["euclidean", "angular"])
@pytest.mark.parametrize("half_space", [False, True])
def test_infinite_level(distance, half_space):
    form = {"distance": distance, "half_space": half_space}
    for dim, power in ((2, 1), (3, 2), (3, 5.5), (4, 3.0)):
        assert random_energy(5, dim, power=power, **form) == math.inf
        assert math.isnan(energy_gap(1.0, 5, dim, power=power, **form))
        assert math.isfinite(minimum_energy(5, dim, power=power, **form))
    assert math.isfinite(random_energy(5, 3, power=1.99, **form))


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

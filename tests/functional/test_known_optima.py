"""Minimising the energy reaches the known optima and goes no lower."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize

from keras_mhe.analysis import minimum_energy
from keras_mhe.functional import hyperspherical_energy
from support.gradients import FASTEST, evaluator, value_and_grad

OPTIMA = json.loads(
    (Path(__file__).parents[1] / "reference" / "optima.json").read_text()
)
UNIVERSAL = OPTIMA["universal"]
POWERS = {"log": 0, "s1": 1, "s2": 2}

#: float32 energies carry an error of a few 1e-7.
ROUNDING = 2e-6


def minimise(num_neurons, dim, *, starts, **form):
    """The lowest mean energies that L-BFGS finds from random starts."""
    evaluate = evaluator(
        lambda tensor: hyperspherical_energy(tensor, **form), mode=FASTEST
    )

    def objective(flat):
        evaluation = evaluate(flat.reshape(dim, num_neurons))
        return evaluation.value, evaluation.gradient.ravel().astype("float64")

    energies = []
    for start in range(starts):
        rng = np.random.default_rng(start)
        found = optimize.minimize(
            objective,
            rng.normal(size=dim * num_neurons),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 400, "ftol": 1e-10, "gtol": 1e-7},
        )
        energies.append(found.fun)
    return np.array(energies)


def assert_optimum(energies, optimum):
    scale = max(abs(optimum), 0.1)
    assert energies.min() >= optimum - ROUNDING * scale
    np.testing.assert_allclose(energies.min(), optimum, atol=1e-5 * scale)


@pytest.mark.parametrize("num_neurons", [2, 3, 4, 5, 6, 7, 8, 10, 12])
@pytest.mark.parametrize(
    ("table", "power"), [("riesz_s1_S2", 1), ("log_S2", 0)]
)
def test_points_on_the_sphere(table, power, num_neurons):
    energies = minimise(num_neurons, 3, starts=3, power=power)
    pairs = num_neurons * (num_neurons - 1) / 2
    assert_optimum(energies, OPTIMA[table][str(num_neurons)] / pairs)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize(
    "code", [name for name, entry in UNIVERSAL.items() if entry["N"] <= 16]
)
def test_universal_codes(code, power):
    entry = UNIVERSAL[code]
    energies = minimise(entry["N"], entry["d"], starts=4, power=POWERS[power])
    pairs = entry["N"] * (entry["N"] - 1) / 2
    assert_optimum(energies, entry[power] / pairs)


@pytest.mark.parametrize(
    ("num_neurons", "dim"),
    # Orthonormal neurons; the six diagonals of the icosahedron; two tight
    # frames of lines in the plane.
    [(3, 3), (4, 6), (6, 3), (3, 2)],
)
@pytest.mark.parametrize("power", [0, 1, 2])
@pytest.mark.parametrize("distance", ["euclidean", "angular"])
def test_lines_in_half_space(num_neurons, dim, power, distance):
    form = {"power": power, "distance": distance, "half_space": True}
    energies = minimise(num_neurons, dim, starts=3, **form)
    # The antipodal angles are within 3.5e-4 of pi in float32.
    scale = 1.0 if distance == "euclidean" else 20.0
    optimum = minimum_energy(num_neurons, dim, **form)
    assert energies.min() >= optimum - scale * ROUNDING
    np.testing.assert_allclose(
        energies.min(), optimum, atol=scale * 1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("power", [0, 0.5, 1, 2, 3.7])
def test_simplex_bound(power):
    for num_neurons, dim in ((3, 2), (5, 4), (4, 9)):
        energies = minimise(num_neurons, dim, starts=2, power=power)
        optimum = minimum_energy(num_neurons, dim, power=power)
        assert_optimum(energies, optimum)


# The energy at the codes themselves, one column for each vector.


def simplex(dim):
    return np.eye(dim + 1) - 1.0 / (dim + 1)


def cross_polytope(dim):
    return np.concatenate([np.eye(dim), -np.eye(dim)], axis=1)


def even_permutations(vector):
    for order in itertools.permutations(range(len(vector))):
        inversions = sum(a > b for a, b in itertools.combinations(order, 2))
        if inversions % 2 == 0:
            yield [vector[place] for place in order]


def even_permutations_and_signs(vector):
    points = {
        tuple(sign * entry for sign, entry in zip(signs, order, strict=True))
        for order in even_permutations(vector)
        for signs in itertools.product((1, -1), repeat=len(vector))
    }
    return np.array(sorted({tuple(np.array(p) + 0.0) for p in points})).T


def sign_vectors(dim):
    """The vertices of a cube with an even number of -1."""
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=dim)))
    return signs[signs.prod(axis=1) > 0].T


def icosahedron():
    return even_permutations_and_signs((0.0, 1.0, GOLDEN))


def cell_600():
    return np.concatenate(
        [
            cross_polytope(4),
            even_permutations_and_signs((0.5, 0.5, 0.5, 0.5)),
            even_permutations_and_signs((GOLDEN / 2, 0.5, 0.5 / GOLDEN, 0.0)),
        ],
        axis=1,
    )


def e8_roots():
    integer = [
        signs[0] * np.eye(8)[first] + signs[1] * np.eye(8)[second]
        for first, second in itertools.combinations(range(8), 2)
        for signs in itertools.product((1, -1), repeat=2)
    ]
    return np.concatenate([np.array(integer).T, sign_vectors(8) / 2], axis=1)


def e7_kissing():
    """The permutations of +-(3, 3, -1, ..., -1), whose sum is 0."""
    half = np.full((28, 8), -1.0)
    for row, pair in enumerate(itertools.combinations(range(8), 2)):
        half[row, list(pair)] = 3.0
    return np.concatenate([half, -half]).T


def schlaefli():
    """The neighbours of one vector of `e7_kissing`, seen along it."""
    units = e7_kissing() / math.sqrt(24.0)
    pole = units[:, 0]
    cosines = pole @ units
    neighbours = units[:, np.isclose(cosines, 1 / 3)]
    return neighbours - pole[:, None] / 3


GOLDEN = (1 + math.sqrt(5)) / 2
CODES = {
    "simplex d=2 (triangle)": simplex(2),
    "simplex d=3 (tetrahedron)": simplex(3),
    "simplex d=7 N=8": simplex(7),
    "cross-polytope d=3 (octahedron)": cross_polytope(3),
    "cross-polytope d=8": cross_polytope(8),
    "icosahedron": icosahedron(),
    "600-cell": cell_600(),
    "hemicube/Clebsch": sign_vectors(5),
    "Schlaefli": schlaefli(),
    "E7 kissing (56)": e7_kissing(),
    "E8 roots (240)": e8_roots(),
}


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("code", CODES)
def test_energy_of_the_code(code, power):
    entry = UNIVERSAL[code]
    assert CODES[code].shape[1] == entry["N"]
    assert np.linalg.matrix_rank(CODES[code]) == entry["d"]
    evaluation = value_and_grad(
        lambda tensor: hyperspherical_energy(tensor, power=POWERS[power]),
        CODES[code],
        mode=FASTEST,
    )
    pairs = entry["N"] * (entry["N"] - 1) / 2
    np.testing.assert_allclose(
        evaluation.value * pairs, entry[power], rtol=1e-5
    )
    # A minimum is a critical point.
    np.testing.assert_allclose(evaluation.gradient, 0.0, atol=1e-6)

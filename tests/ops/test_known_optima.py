"""Minimising the energy reaches the known optima and goes no lower."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize

from keras_mhe.analysis import minimum_energy
from support.energies import evaluate

OPTIMA = json.loads(
    (Path(__file__).parents[1] / "reference" / "optima.json").read_text()
)
UNIVERSAL = OPTIMA["universal"]
POWERS = {"log": 0, "s1": 1, "s2": 2}

#: float32 energies carry an error of a few 1e-7.
ROUNDING = 2e-6


def minimise(num_neurons, dim, *, starts, **form):
    """The lowest mean energies that L-BFGS finds from random starts."""

    def objective(flat):
        evaluation = evaluate(flat.reshape(dim, num_neurons), **form)
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


@pytest.mark.parametrize("num_neurons", [2, 4, 5, 7, 8, 12])
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

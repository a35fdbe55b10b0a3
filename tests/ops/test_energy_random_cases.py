"""Energies and gradients of random kernels, against float64 loops.

    KERAS_BACKEND=jax KERAS_MHE_CASES=2000 python -m pytest \
        tests/ops/test_energy_random_cases.py

Without the variable a few cases are tried. Shapes, forms, dtypes, lengths,
groups, tiles and anchors are drawn, and neurons that are dead or near others.
"""

import os

import numpy as np
import pytest

from keras_mhe.ops import hyperspherical_energy
from support import numpy_reference
from support.gradients import FASTEST, value_and_grad, with_float64
from support.tensors import rounded

NUM_CASES = int(os.environ.get("KERAS_MHE_CASES", "12"))


@pytest.mark.parametrize("seed", range(NUM_CASES))
def test_random_case(seed):
    rng = np.random.default_rng(seed)
    dtype = str(rng.choice(["float32", "float16", "bfloat16", "float64"]))
    weights = draw_weights(rng, dtype)
    form = draw_form(rng, weights.shape[1])
    block_size = [1, 3, 16, "auto"][rng.integers(4)]
    with with_float64():
        actual = value_and_grad(
            lambda tensor: hyperspherical_energy(
                tensor, block_size=block_size, **form
            ),
            weights,
            mode=FASTEST,
            dtype=dtype,
        )
    # Pairs near each other cost some digits.
    np.testing.assert_allclose(
        actual.value,
        numpy_reference.energy(weights, **form),
        rtol=1e-3,
        atol=1e-4,
    )
    lengths = np.linalg.norm(weights, axis=0)
    assert not actual.gradient[:, lengths == 0.0].any()
    for _ in range(3):
        direction = rng.normal(size=weights.shape) * lengths
        ends = [
            numpy_reference.energy(weights + shift * direction, **form)
            for shift in (1e-6, -1e-6)
        ]
        np.testing.assert_allclose(
            np.sum(actual.gradient.astype("float64") * direction),
            (ends[0] - ends[1]) / 2e-6,
            atol=2e-2 * np.linalg.norm(actual.gradient * lengths) + 1e-6,
        )


def draw_weights(rng, dtype):
    """Draws a kernel, with the values that its dtype holds."""
    dim = int(np.exp(rng.uniform(np.log(8), np.log(300))))
    num_neurons = int(rng.choice([1, 2, 3, 4, 6, 9, 12, 24]))
    weights = rng.normal(size=(dim, num_neurons))
    for index in range(1, num_neurons):
        kind = rng.choice(["random", "dead", "near"], p=[0.7, 0.1, 0.2])
        if kind == "dead":
            weights[:, index] = 0.0
        elif kind == "near":
            other = weights[:, rng.integers(index)]
            shift = rng.uniform(0.1, 0.3) * rng.normal(size=dim)
            weights[:, index] = rng.choice([-1, 1]) * (other + shift)
    largest = 1 if dtype == "float16" else 40
    weights *= 2.0 ** rng.integers(1 - largest, largest, num_neurons)
    return weights if dtype == "float64" else rounded(weights, dtype)


def draw_form(rng, num_neurons):
    """Draws the other arguments that the loops have."""
    form = {
        "power": float(rng.choice([0.0, 0.5, 1.0, 2.0, 3.7])),
        "distance": str(rng.choice(["euclidean", "angular"])),
        "half_space": bool(rng.integers(2)),
        "groups": int(
            rng.choice([g for g in (1, 1, 1, 2, 3) if num_neurons % g == 0])
        ),
    }
    if rng.random() < 0.3:
        anchors = rng.integers(num_neurons, size=rng.integers(1, 9))
        form["anchors"] = anchors.tolist()
    return form

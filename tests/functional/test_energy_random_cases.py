"""Energies and gradients of random kernels, against float64 differences.

    KERAS_BACKEND=jax KERAS_MHE_CASES=2000 python -m pytest \
        tests/functional/test_energy_random_cases.py

Without the variable a few cases are tried. Shapes, forms, dtypes, lengths,
groups and anchors are drawn, and neurons that are dead, equal to others,
opposite or nearly equal.
"""

import math
import os

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe import _numerics
from keras_mhe.functional import hyperspherical_energy
from support import tolerances
from support.gradients import value_and_grad

NUM_CASES = int(os.environ.get("KERAS_MHE_CASES", "12"))

DTYPES = ["float32", "float32", "float16", "bfloat16"]
if keras.backend.backend() != "jax":
    DTYPES.append("float64")

#: Error of a cosine, in machine epsilons.
COSINE_ERROR = 8.0


@pytest.mark.parametrize("seed", range(NUM_CASES))
def test_random_case(seed):
    rng = np.random.default_rng(seed)
    weights, dtype = draw_weights(rng)
    form = draw_form(rng, weights.shape[1], dtype)
    expected = reference(weights, dtype, **form)
    if form.pop("is_anchored"):
        form["anchors"] = form["anchors"].tolist()
    else:
        del form["anchors"]
    actual = value_and_grad(
        lambda tensor: hyperspherical_energy(tensor, **form),
        weights,
        dtype=dtype,
    )
    value, value_error, gradient, gradient_error = expected
    assert abs(actual.value - value) <= value_error
    assert np.all(np.abs(actual.gradient - gradient) <= gradient_error)


def draw_weights(rng):
    """Draws a kernel, with the values that its dtype holds, and the dtype."""
    dtype = str(rng.choice(DTYPES))
    dim = int(np.exp(rng.uniform(np.log(2), np.log(700))))
    num_neurons = int(rng.choice([1, 2, 3, 4, 6, 9, 12, 24, 36]))
    weights = rng.normal(size=(dim, num_neurons))
    for index in range(1, num_neurons):
        other = weights[:, rng.integers(index)]
        kind = rng.choice(5, p=[0.7, 0.08, 0.06, 0.06, 0.1])
        if kind == 1:
            weights[:, index] = 0.0
        elif kind > 1:
            weights[:, index] = other if kind == 2 else -other
        if kind == 4:
            length = np.linalg.norm(other) / math.sqrt(dim)
            shift = rng.normal(size=dim) * length * rng.uniform(0.02, 0.2)
            weights[:, index] = rng.choice([-1, 1]) * (other + shift)
    # By powers of two, which keep equal directions equal.
    largest = 4 if dtype in ("float16", "bfloat16") else 40
    weights *= 2.0 ** rng.integers(-largest, largest, num_neurons)
    wide = "float64" if dtype == "float64" else "float32"
    stored = ops.cast(ops.convert_to_tensor(weights.astype(wide)), dtype)
    weights = ops.convert_to_numpy(ops.cast(stored, wide)).astype("float64")
    return weights, dtype


def draw_form(rng, num_neurons, dtype):
    """Draws the other arguments."""
    # In float64 higher powers of equal neurons are continued by a tangent.
    powers = [0.0, 0.5, 1.0, 2.0] + [3.7] * (dtype != "float64")
    groups = [g for g in (1, 1, 1, 2, 3) if num_neurons % g == 0]
    block_size = rng.choice(["auto", "1", "3", "16"])
    return {
        "power": float(rng.choice(powers)),
        "distance": str(rng.choice(["euclidean", "angular"])),
        "half_space": bool(rng.integers(2)),
        "groups": int(rng.choice(groups)),
        "block_size": block_size if block_size == "auto" else int(block_size),
        "is_anchored": bool(rng.random() < 0.3),
        "anchors": rng.integers(num_neurons, size=rng.integers(1, 9)),
    }


def reference(
    weights,
    dtype,
    *,
    power,
    distance,
    half_space,
    groups,
    is_anchored,
    anchors,
    block_size,
):
    """Value and gradient from differences of vectors, and their tolerances."""
    wide = "float64" if dtype == "float64" else "float32"
    dim, num_neurons = weights.shape
    eps = float(np.finfo(wide).eps)
    lengths = np.linalg.norm(weights, axis=0)
    living = lengths > 0.0
    units = weights / np.where(living, lengths, 1.0)
    group = np.arange(num_neurons) // (num_neurons // groups)
    # How often each neuron meets the others of its group.
    times = np.ones(num_neurons)
    if is_anchored:
        times = np.bincount(anchors, minlength=num_neurons)
    times = times * living
    size = np.bincount(group[living], minlength=groups)[group]
    meets = (
        (group[:, None] == group) & living & ~np.eye(num_neurons, dtype=bool)
    )
    ordered = times[:, None] * meets
    both = ordered + ordered.T
    partners = 2 * size - 1 if half_space else size - 1
    count = max(np.sum(times * partners * (size > 1)), 1.0)

    apart = np.square(units[:, :, None] - units[:, None, :]).sum(axis=0)
    across = np.square(units[:, :, None] + units[:, None, :]).sum(axis=0)
    floor = _numerics.resolution(wide, dim)
    nearest = np.minimum(apart, across) if half_space else apart
    is_kink = distance == "angular"
    is_equal = (np.minimum(apart, across) if is_kink else nearest) < floor
    total = error = 0.0
    gradient, errors = np.zeros_like(weights), np.zeros(num_neurons)
    delta = COSINE_ERROR * eps
    sine = np.sqrt(apart * across) / 2.0
    cosine = (across - apart) / 4.0
    if is_kink:
        # An angle of nearly 180 degrees has half the digits of its cosine.
        error += np.sum(ordered * is_equal) * math.sqrt(floor)
    if half_space:
        # Of two equal lines one vector is near, its opposite as far as that.
        equal = _numerics.equal_distance(wide)
        apart, across = (
            np.where(other < floor, 4.0 - equal, own)
            for own, other in ((apart, across), (across, apart))
        )
    for sign in (1.0, -1.0) if half_space else (1.0,):
        near, far = (apart, across) if sign > 0 else (across, apart)
        value, slope, bend = potential(near, far, power, distance, wide, floor)
        slope, bend = np.where(is_equal, 0.0, (slope, bend))
        total += np.sum(ordered * value)
        error += np.sum(ordered * slope) * delta
        pull = both * sign * slope
        gradient += units @ pull - np.sum(pull * cosine, axis=0) * units
        errors += np.sum(both * (slope + bend * sine) * delta, axis=0)
    if half_space:
        value, _, _ = potential(4.0, 0.0, power, distance, wide, floor)
        total += float(value) * np.sum(times * (size > 1))
    scale = np.where(living, lengths, np.inf) * count
    gradient, errors = gradient / scale, errors / scale
    errors = errors + tolerances.GRADIENT[dtype] * np.abs(gradient).max(axis=0)
    if dtype == "float16":
        errors = errors + 6e-8  # Its smallest number.
        gradient = np.clip(gradient, -65504.0, 65504.0)
    value = total / count
    tolerance = tolerances.VALUE[wide] * max(abs(value), 1.0)
    return value, error / count + tolerance, gradient, errors + 1e-30


def potential(apart, across, power, distance, wide, floor):
    """Value, and first and second derivative by the cosine (a bound).

    Args:
        apart: Squared distance of two unit vectors.
        across: Squared distance of the first and the second's opposite.
        power: As in `hyperspherical_energy`.
        distance: As in `hyperspherical_energy`.
        wide: Dtype of the computation.
        floor: Squared distance up to which vectors are equal.
    """
    equal = _numerics.equal_distance(wide)
    apart = np.where(apart < floor, equal, apart)
    if distance == "euclidean":
        value = apart ** (-power / 2.0) if power else -0.5 * np.log(apart)
        slope = (power or 1.0) * apart ** (-power / 2.0 - 1.0)
        return value, slope, (power + 2.0) * slope / apart
    angle = 2.0 * np.arctan2(np.sqrt(apart), np.sqrt(across))
    sine = np.maximum(np.sin(angle), math.sqrt(floor))
    value = angle**-power if power else -np.log(angle)
    slope = (power or 1.0) * angle ** (-power - 1.0) / sine
    return value, slope, slope * ((power + 1.0) / (angle * sine) + sine**-2)

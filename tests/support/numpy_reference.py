"""Hyperspherical energy in float64 NumPy, by plain loops over pairs.

Slow and simple on purpose: it shares no code and no formula with the library.
Half space is the full-space energy of the explicit set of `2N` vectors.
"""

import math

import numpy as np


def neuron_vectors(weights, neuron_axis=-1):
    """Rows of float64 vectors, one for each neuron."""
    weights = np.asarray(weights, dtype="float64")
    axes = neuron_axis if isinstance(neuron_axis, tuple) else (neuron_axis,)
    axes = [axis % weights.ndim for axis in axes]
    others = [axis for axis in range(weights.ndim) if axis not in axes]
    rows = []
    for position in np.ndindex(*(weights.shape[axis] for axis in axes)):
        row = []
        for entry in np.ndindex(*(weights.shape[axis] for axis in others)):
            index = [0] * weights.ndim
            for axis, value in zip(axes, position, strict=True):
                index[axis] = value
            for axis, value in zip(others, entry, strict=True):
                index[axis] = value
            row.append(weights[tuple(index)])
        rows.append(np.array(row))
    return rows


def neuron_matrix(weights, neuron_axis=-1):
    """The neurons as columns of a float64 matrix."""
    return np.stack(neuron_vectors(weights, neuron_axis), axis=1)


def potential(u, v, power, distance, epsilon=0.0):
    """Energy of one pair of vectors (unit vectors, or shorter by epsilon)."""
    if distance == "angular" and epsilon == 0.0:
        # The angle of unit vectors; acos loses half the digits near pi.
        opposite = [-entry for entry in v]
        separation = 2.0 * math.atan2(math.dist(u, v), math.dist(u, opposite))
    else:
        cosine = sum(a * b for a, b in zip(u, v, strict=True))
        separation = (
            math.sqrt(2.0 - 2.0 * cosine)
            if distance == "euclidean"
            else math.acos(cosine)
        )
    return -math.log(separation) if power == 0 else separation**-power


def energy(
    weights,
    *,
    power=2,
    distance="euclidean",
    half_space=False,
    neuron_axis=-1,
    groups=1,
    epsilon=0.0,
    anchors=None,
):
    """Mean over pairs; the arguments are those of the library.

    A neuron of zeros is not there, unless epsilon makes it count.
    """
    rows = neuron_vectors(weights, neuron_axis)
    vectors = {
        (member, sign): (sign * row / math.sqrt(row @ row + epsilon)).tolist()
        for member, row in enumerate(rows)
        for sign in (1, -1)
        if epsilon > 0.0 or row.any()
    }
    size = len(rows) // groups
    values = []
    for group in range(groups):
        members = range(group * size, (group + 1) * size)
        members = [member for member in members if (member, 1) in vectors]
        if len(members) < 2:
            continue
        signs = (1, -1) if half_space else (1,)
        signed = [(member, sign) for sign in signs for member in members]
        if anchors is None:
            pairs = [
                (first, second)
                for place, first in enumerate(signed)
                for second in signed[place + 1 :]
            ]
        else:
            pairs = [
                ((anchor, 1), other)
                for anchor in anchors
                if anchor in members
                for other in signed
                if other != (anchor, 1)
            ]
        values += [
            potential(vectors[one], vectors[other], power, distance, epsilon)
            for one, other in pairs
        ]
    return math.fsum(values) / max(len(values), 1)


def fast_energy(weights, *, power=2, distance="euclidean", half_space=False):
    """`energy` for hundreds of neurons, from a float64 matrix of cosines."""
    weights = np.asarray(weights, "float64")
    if half_space:
        weights = np.concatenate([weights, -weights], axis=1)
    cosines = _pair_cosines(weights)
    separation = (
        np.sqrt(2.0 - 2.0 * cosines)
        if distance == "euclidean"
        else np.arccos(cosines)
    )
    values = -np.log(separation) if power == 0 else separation**-power
    return float(np.mean(values))


def excess(
    weights, cosine=0.0, *, power=2, distance="euclidean", half_space=False
):
    """`fast_energy` above that of pairs which all have one cosine, `cosine`.

    The mean of `f(c) - f(cosine)`, in half space of pairs of lines, to all
    digits where the two energies are nearly equal, as in wide kernels.
    """
    cosines = _pair_cosines(weights)
    rises = _rises(cosines, cosine, power, distance)
    if not half_space:
        return float(np.mean(rises))
    opposite_rises = _rises(-cosines, -cosine, power, distance)
    # Of the N(2N-1) pairs N are antipodal and do not differ.
    others = 2 * (np.shape(weights)[1] - 1)
    return others / (others + 1) * float(np.mean(rises + opposite_rises)) / 2


def _rises(cosines, cosine, power, distance):
    if distance == "euclidean":
        separation = math.sqrt(2.0 - 2.0 * cosine)
        log_ratio = 0.5 * np.log1p((cosine - cosines) / (1.0 - cosine))
    else:
        separation = math.acos(cosine)
        longer = math.asin(cosine) - np.arcsin(cosines)
        log_ratio = np.log1p(longer / separation)
    if power == 0:
        return -log_ratio
    return separation**-power * np.expm1(-power * log_ratio)


def _pair_cosines(weights):
    units = np.asarray(weights, "float64")
    units = units / np.linalg.norm(units, axis=0)
    cosines = np.clip(units.T @ units, -1.0, 1.0)
    return cosines[np.triu_indices(units.shape[1], 1)]


def differences(function, x, step=1e-6):
    """Gradient of a float64 function by central differences."""
    x = np.array(x, dtype="float64")
    result = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        above, below = x.copy(), x.copy()
        above[index] += step
        below[index] -= step
        result[index] = (function(above) - function(below)) / (2.0 * step)
    return result


def gradient(weights, *, step=1e-6, **form):
    """Central differences of `energy`, with steps relative to the norm."""
    step = step * max(1e-30, float(np.abs(weights).max()))
    return differences(lambda moved: energy(moved, **form), weights, step)


def power_iterated(matrix, u, iterations):
    """The vectors after power iterations, each of which moves `v` first."""
    for _ in range(iterations):
        v = matrix @ u
        v = v / np.linalg.norm(v)
        u = matrix.T @ v
        u = u / np.linalg.norm(u)
    return u, v

"""The relatives of the energy in float64 NumPy, by loops over explicit sets.

Half space is the set of the neurons and their opposites. No code is shared
with the library.
"""

import math

import numpy as np

from support.numpy_reference import neuron_vectors


def directions(weights, neuron_axis=-1, groups=1):
    """Lists of unit vectors, one list for each group."""
    rows = [r / np.linalg.norm(r) for r in neuron_vectors(weights, neuron_axis)]
    size = len(rows) // groups
    return [rows[k * size : (k + 1) * size] for k in range(groups)]


def _whole(units, half_space):
    return [*units, *(-u for u in units)] if half_space else units


def uniformity(weights, *, precision=2.0, half_space=False, **which):
    """Logarithm of the mean over all pairs inside of groups."""
    terms = []
    for units in directions(weights, **which):
        units = _whole(units, half_space)
        for i in range(len(units)):
            for j in range(i):
                distance = np.linalg.norm(units[i] - units[j])
                terms.append(math.exp(-precision * distance**2))
    return math.log(np.mean(terms))


def separation(weights, *, per_neuron=True, half_space=False, **which):
    """Squared distances to the nearest other neuron, or its opposite."""
    chords = nearest_chords(weights, half_space, **which)
    choice = np.mean if per_neuron else min
    return np.mean([choice(np.square(group)) for group in chords])


def minimal_angles(weights, *, half_space=False, **which):
    """Angles to the nearest other neuron, or its opposite, in radians."""
    chords = nearest_chords(weights, half_space, **which)
    return np.mean([np.mean(2.0 * np.arcsin(c / 2.0)) for c in chords])


def koleo(weights, *, half_space=False, **which):
    """Minus the mean logarithm of the distances."""
    chords = nearest_chords(weights, half_space, **which)
    return -np.mean([np.mean(np.log(group)) for group in chords])


def nearest_chords(weights, half_space, **which):
    """Distances of each neuron to the nearest other one, for each group."""
    found = []
    for units in directions(weights, **which):
        nearest = []
        for i, u in enumerate(units):
            others = _whole(
                [v for j, v in enumerate(units) if j != i], half_space
            )
            nearest.append(min(np.linalg.norm(u - v) for v in others))
        found.append(np.array(nearest))
    return found


def gram_log_determinant(
    weights, *, precision=1.0, epsilon=1e-6, half_space=False, **which
):
    """Of the whole matrix, in half space of twice the size."""
    found = []
    for units in directions(weights, **which):
        units = _whole(units, half_space)
        table = np.array(
            [
                [math.exp(-precision * np.sum((u - v) ** 2)) for v in units]
                for u in units
            ]
        )
        table += epsilon * np.eye(len(units))
        found.append(np.linalg.slogdet(table)[1] / len(units))
    return np.mean(found)


def mean_potentials(places, weights, *, power, distance, half_space=False):
    """Mean energy of each direction with the neurons."""
    (units,) = directions(weights)
    total = 0.0
    units = _whole(units, half_space)
    for unit in units:
        chord = np.linalg.norm(places - unit, axis=1)
        length = chord
        if distance == "angular":
            length = 2.0 * np.arcsin(0.5 * np.minimum(chord, 2.0))
        total += -np.log(length) if power == 0 else length ** -float(power)
    return total / len(units)


def soft_distances(places, weights, *, precision, half_space=False):
    """Soft minimum of the squared distances of each direction."""
    (units,) = directions(weights)
    units = _whole(units, half_space)
    terms = [
        np.exp(-precision * np.sum((places - unit) ** 2, axis=1))
        for unit in units
    ]
    return -np.log(np.mean(terms, axis=0)) / precision

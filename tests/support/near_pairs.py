"""Kernels with two neurons near each other, and float64 references."""

import numpy as np


def kernel_with_pair(dim, num_neurons, separation, seed=0):
    """Random float32 neurons, the last one at a distance from the first."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(dim, num_neurons))
    first = weights[:, 0] / np.linalg.norm(weights[:, 0])
    side = rng.normal(size=dim)
    side -= (side @ first) * first
    side /= np.linalg.norm(side)
    turn = 2.0 * np.arcsin(separation / 2.0)
    weights[:, -1] = 3.0 * (np.cos(turn) * first + np.sin(turn) * side)
    return weights.astype("float32")


def energy_and_gradient(weights, half_space):
    """Energy of power 2 and gradient, from differences of the vectors."""
    lengths = np.linalg.norm(weights.astype("float64"), axis=0)
    units = weights / lengths
    num_neurons = weights.shape[1]
    total, slopes = 0.0, np.zeros((num_neurons, num_neurons))
    for sign in (1.0, -1.0) if half_space else (1.0,):
        for i in range(num_neurons):
            for j in range(num_neurons):
                if i != j:
                    difference = units[:, i] - sign * units[:, j]
                    squared = difference @ difference
                    total += 1.0 / squared
                    slopes[i, j] += 2.0 * sign / squared**2
    pairs = num_neurons * (num_neurons - 1) / 2
    total /= 2.0
    if half_space:
        total = 2.0 * total + 0.25 * num_neurons
        slopes = 2.0 * slopes
        pairs = num_neurons * (2 * num_neurons - 1)
    gradient = units @ slopes.T
    gradient -= np.sum(gradient * units, axis=0) * units
    return total / pairs, gradient / lengths / pairs

"""Angles between neurons, or other directions."""

import numpy as np


def pairwise_angles(neurons: np.ndarray) -> np.ndarray:
    """Angles of all pairs of the columns of a matrix, in degrees."""
    columns = neurons.astype("float64")
    columns = columns / np.linalg.norm(columns, axis=0)
    cosines = (columns.T @ columns)[np.triu_indices(columns.shape[1], k=1)]
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))

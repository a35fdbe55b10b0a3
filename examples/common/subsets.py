"""Choices of some of many images."""

import numpy as np


def evenly_chosen(total: int, count: int) -> np.ndarray:
    """Returns numbers of images, at most `count` and all different."""
    return np.unique(np.linspace(0, total - 1, count).astype("int64"))

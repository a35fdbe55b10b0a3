"""Which points on which sphere, and what is to become small."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Problem:
    """Points on a sphere, and their energy.

    Attributes:
        num_points: Int >= 2.
        dim: Int >= 2, dimension of the space; 3 for the ordinary sphere.
        power: Float >= 0, the `s` of the energy; 1 for Thomson's problem.
        distance: `"euclidean"` or `"angular"`.
        half_space: Whether points repel opposites of others too.
    """

    num_points: int
    dim: int
    power: float
    distance: str
    half_space: bool

    @property
    def form(self) -> dict[str, Any]:
        """The arguments that say which energy it is."""
        return {
            "power": self.power,
            "distance": self.distance,
            "half_space": self.half_space,
        }

    @property
    def num_pairs(self) -> int:
        """How many pairs there are."""
        return self.num_points * (self.num_points - 1) // 2

    def random_points(self, starts: int, seed: int) -> np.ndarray:
        """Returns directions, shape `(dim, starts * num_points)`, float32.

        The starts are groups of the library: blocks of columns that do not
        meet each other.
        """
        key = (seed, self.num_points, self.dim, 1)
        drawn = np.random.default_rng(key).normal(
            size=(self.dim, starts * self.num_points)
        )
        drawn /= np.linalg.norm(drawn, axis=0)
        return drawn.astype("float32")

"""Spreads points in all ways and says what energies came out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from keras import ops, utils

from common.angles import pairwise_angles
from keras_mhe.functional import hyperspherical_energy
from spheres.best_known import BestKnown, best_known
from spheres.problem import Problem
from spheres.ways import WAYS

#: Relative difference to the best known energy that float32 allows.
FLOAT32_DIGITS = 2e-6


@dataclass(frozen=True)
class Result:
    """Where the points of one problem ended.

    Attributes:
        problem: The problem.
        reference: The energy to compare with.
        energies: For each way the lowest energy of all starts, a sum over
            pairs.
        points: The best points of all, shape `(dim, num_points)`.
    """

    problem: Problem
    reference: BestKnown
    energies: dict[str, float]
    points: np.ndarray

    @property
    def smallest_angle(self) -> float:
        """Of two points, or lines in half space, in degrees."""
        angles = pairwise_angles(self.points)
        if self.problem.half_space:
            angles = np.minimum(angles, 180.0 - angles)
        return float(angles.min())

    def excess(self, energy: float) -> float:
        """Relative difference to the energy to compare with."""
        reference = self.reference.energy
        # Logarithmic energies pass through 0.
        scale = max(abs(reference), 0.1 * self.problem.num_pairs)
        return (energy - reference) / scale

    @property
    def is_reached(self) -> bool:
        """Whether every way ends at the energy to compare with."""
        return all(
            abs(self.excess(energy)) <= FLOAT32_DIGITS
            for energy in self.energies.values()
        )


def spread(
    problems: Sequence[Problem],
    ways: Sequence[str],
    *,
    starts: int,
    steps: int,
    seed: int,
) -> list[Result]:
    """Spreads the points of each problem in each way, with a progress bar."""
    bar = utils.Progbar(len(problems) * len(ways), unit_name="spread")
    results = []
    for problem in problems:
        begin = problem.random_points(starts, seed)
        energies, ends = {}, {}
        for way in ways:
            points = WAYS[way](problem, begin, steps)
            found = [
                (_energy(problem, block), index)
                for index, block in enumerate(np.split(points, starts, axis=1))
            ]
            lowest, index = min(found)
            energies[way] = lowest
            ends[lowest] = np.split(points, starts, axis=1)[index]
            bar.add(1)
        best = ends[min(ends)]
        results.append(Result(problem, best_known(problem), energies, best))
    return results


def _energy(problem: Problem, points: np.ndarray) -> float:
    """The mean energy times the number of pairs of points.

    In half space the mean is over the pairs of points and opposites.
    """
    mean = hyperspherical_energy(points, **problem.form)
    return problem.num_pairs * float(ops.convert_to_numpy(mean))

"""Best known energies of points on spheres."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from keras_mhe.analysis import minimum_energy
from spheres.problem import Problem

#: Values and their sources.
_TABLES = json.loads((Path(__file__).parent / "best_known.json").read_text())

#: Tables of the ordinary sphere by power.
_ON_SPHERE = {0: "log_S2", 1: "riesz_s1_S2"}


@dataclass(frozen=True)
class BestKnown:
    """An energy to compare with.

    Attributes:
        energy: Sum over all pairs.
        kind: `"proven"` for a minimum, `"best known"` for the lowest that was
            ever found, `"bound"` for what no arrangement goes below,
            `"simplex"` for the energy of the simplex and nothing more.
    """

    energy: float
    kind: str


def best_known(problem: Problem) -> BestKnown:
    """Returns the energy to compare with, and how much is known of it."""
    level = problem.num_pairs * minimum_energy(
        problem.num_points, problem.dim, **problem.form
    )
    if problem.half_space:
        is_reached = problem.num_points <= problem.dim
        return BestKnown(level, "proven" if is_reached else "bound")
    if problem.distance == "angular":
        # The potential is not convex in the cosine, and arrangements below
        # the simplex exist.
        return BestKnown(level, "simplex")
    if problem.num_points <= problem.dim + 1:
        return BestKnown(level, "proven")
    code = _universal_code(problem)
    if code is not None:
        return BestKnown(_energy_of_code(code, problem), "proven")
    table = _TABLES.get(_ON_SPHERE.get(problem.power, ""), {})
    energy = table.get(str(problem.num_points))
    if energy is not None and problem.dim == 3:
        return BestKnown(energy, "best known")
    return BestKnown(level, "bound")


def _universal_code(problem: Problem) -> list[tuple[float, int]] | None:
    """Cosines of a point with the others, and how many have each.

    Of codes that Cohn and Kumar proved to be minima for every power.
    """
    count, dim = problem.num_points, problem.dim
    if dim == 2:
        return [
            (math.cos(2.0 * math.pi * k / count), 1) for k in range(1, count)
        ]
    if count == 2 * dim:
        return [(-1.0, 1), (0.0, count - 2)]
    for code in _TABLES["universal"].values():
        if (code["N"], code["d"]) == (count, dim):
            return code["inner_products"]
    return None


def _energy_of_code(code: list[tuple[float, int]], problem: Problem) -> float:
    """Sum over pairs."""

    def of_pair(cosine: float) -> float:
        distance = math.sqrt(2.0 - 2.0 * cosine)
        if problem.power == 0:
            return -math.log(distance)
        return distance**-problem.power

    by_point = sum(count * of_pair(cosine) for cosine, count in code)
    return 0.5 * problem.num_points * by_point

"""Energies of the neurons of a kernel that have a direction."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_mhe._typing import Tensor
from keras_mhe.functional import hyperspherical_energy
from keras_mhe.functional._bounds import (
    EnergyBound,
    energy_bound,
    minimum_energy,
)
from keras_mhe.functional._form import EnergyForm
from keras_mhe.functional._levels import energy_gap, random_energy

#: Fewer living neurons, or a smaller share of all, say nothing of the layer.
_LEAST_LIVING = 3
_LEAST_SHARE = 0.25


@dataclass(frozen=True)
class Living:
    """Where the energy of the living neurons lies.

    Groups that lost different numbers of neurons have levels of their own:
    energy, bound and random level are means over the pairs of all groups.

    Attributes:
        energy: Their energy; NaN if there is no pair of them.
        gap: From 0, the bound, to 1, random directions. NaN if nothing is
            proven, random directions have no finite energy, or they are few.
        bound: That of the group with the most of them; `None` if nothing is
            proven for the neurons that the kernel has.
        random_energy: Of as many random directions; infinite or not whatever
            their number.
        most: Their number in the group with the most of them.
        are_few: Whether so many neurons died that the others say nothing of
            the layer.
    """

    energy: float
    gap: float
    bound: EnergyBound | None
    random_energy: float
    most: int
    are_few: bool


def energies_of_living(
    columns: Tensor, lives: np.ndarray, form: EnergyForm
) -> Living:
    """Measures the neurons that live, each with those of its group.

    Args:
        columns: Float tensor of shape `(dim, N)`, one group after the other.
        lives: Which of them live, bools of shape `(groups, N / groups)`.
        form: The energy.
    """
    which: dict[str, Any] = {
        "power": form.power,
        "distance": form.distance,
        "half_space": form.half_space,
    }
    dim = int(columns.shape[0])
    per_group = lives.sum(axis=1)
    sizes = np.unique(per_group[per_group > 1]).tolist()
    pairs, energies = [], []
    for size in sizes:  # All groups of a size at once.
        chosen = np.flatnonzero(lives & (per_group == size)[:, None])
        groups = len(chosen) // size
        partners = 2 * size - 1 if form.half_space else (size - 1) / 2
        pairs.append(groups * size * partners)
        members = columns
        if len(chosen) < lives.size:
            members = ops.take(columns, chosen, axis=1)
        energy = hyperspherical_energy(members, groups=groups, **which)
        energies.append(float(ops.convert_to_numpy(energy)))
    # Levels have two neurons at least.
    most = max(per_group.max(), 2)
    randoms = [random_energy(size, dim, **which) for size in sizes or [most]]
    bound = energy_bound(lives.shape[1], dim, **which)
    if bound is not None:
        bound = energy_bound(most, dim, **which)
    count = int(lives.sum())
    least = max(_LEAST_LIVING, _LEAST_SHARE * lives.size)
    are_few = count < lives.size and (count < least or not sizes)
    gap = math.nan
    if bound is not None and math.isfinite(max(randoms)) and not are_few:
        gaps = [
            energy_gap(energy, size, dim, **which)
            for energy, size in zip(energies, sizes, strict=True)
        ]
        rooms = [
            random - minimum_energy(size, dim, **which)
            for random, size in zip(randoms, sizes, strict=True)
        ]
        # Differences of the means, of which gaps and rooms are quotients.
        gap = _mean(gaps, np.multiply(pairs, rooms))
    return Living(
        energy=_mean(energies, pairs) if sizes else math.nan,
        gap=gap,
        bound=bound,
        random_energy=_mean(randoms, pairs or [1]),
        most=int(per_group.max()),
        are_few=are_few,
    )


def _mean(values: list[float], weights: Any) -> float:
    # Of one value it is that value, to the last digit.
    return float(np.dot(values, np.divide(weights, np.sum(weights))))

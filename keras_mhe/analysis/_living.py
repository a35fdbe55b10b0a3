"""Energies of the neurons of a kernel that have a direction."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_mhe._typing import Tensor
from keras_mhe.ops._energy.energy import energy_of
from keras_mhe.ops._levels.bounds import EnergyBound, bound_of
from keras_mhe.ops._levels.random import rises_of_levels
from keras_mhe.ops._pairs.form import EnergyForm

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
    dim = int(columns.shape[0])
    per_group = lives.sum(axis=1)
    sizes, counts = np.unique(per_group[per_group > 1], return_counts=True)
    num_living, has_pairs = int(lives.sum()), len(sizes) > 0
    least = max(_LEAST_LIVING, _LEAST_SHARE * lives.size)
    are_few = num_living < lives.size and (num_living < least or not has_pairs)
    if not has_pairs:  # Levels are of two neurons at least.
        sizes, counts = np.array([2]), np.array([1])
    partners = 2 * sizes - 1 if form.half_space else sizes - 1
    lowest, random = np.average(
        [rises_of_levels(form, int(size), dim) for size in sizes],
        axis=0,
        weights=counts * sizes * partners,
    )
    bound = bound_of(form, lives.shape[1], dim)
    if bound is not None:
        bound = bound_of(form, int(sizes[-1]), dim)
    rise = _rise(columns, len(lives), form) if has_pairs else math.nan
    gap = math.nan
    if bound is not None and not are_few and 0.0 < random - lowest < math.inf:
        gap = float((rise - lowest) / (random - lowest))
    orthogonal = form.potential.value(0.0)
    return Living(
        energy=orthogonal + rise,
        gap=gap,
        bound=bound,
        random_energy=float(orthogonal + random),
        most=int(per_group.max()),
        are_few=are_few,
    )


def _rise(columns: Tensor, groups: int, form: EnergyForm) -> float:
    """The energy above that of orthogonal pairs, which has more digits."""
    form = dataclasses.replace(form, neuron_axis=-1, groups=groups, epsilon=0.0)
    rise = energy_of(columns, form, potential=form.rise)
    return float(ops.convert_to_numpy(rise))

"""Energies of the neurons of a kernel that have a direction."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_mhe._typing import Tensor
from keras_mhe.functional._bounds import EnergyBound, energy_bound
from keras_mhe.functional._form import EnergyForm
from keras_mhe.functional._levels import rises_of_levels

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

    Energies are added up as what they are above those of orthogonal pairs,
    and levels too: in wide layers a gap is a quotient of small differences.

    Args:
        columns: Float tensor of shape `(dim, N)`, one group after the other.
        lives: Which of them live, bools of shape `(groups, N / groups)`.
        form: The energy.
    """
    form = dataclasses.replace(form, groups=len(lives))
    dim = int(columns.shape[0])
    per_group = lives.sum(axis=1)
    # Levels have two neurons at least.
    most = max(int(per_group.max()), 2)
    sizes = per_group[per_group > 1].tolist() or [most]
    pairs = [form.num_pairs(size) for size in sizes]
    lowest, random = np.average(
        [
            rises_of_levels(form.potential, form.half_space, size, dim)
            for size in sizes
        ],
        axis=0,
        weights=pairs,
    )
    which = {"distance": form.distance, "half_space": form.half_space}
    bound = energy_bound(lives.shape[1], dim, **which)  # type: ignore[arg-type]
    if bound is not None:
        bound = energy_bound(most, dim, **which)  # type: ignore[arg-type]
    has_pairs = bool(per_group.max() > 1)
    count = int(lives.sum())
    least = max(_LEAST_LIVING, _LEAST_SHARE * lives.size)
    are_few = count < lives.size and (count < least or not has_pairs)
    energy = gap = math.nan
    orthogonal = form.potential.value(0.0)
    if has_pairs:
        rise = float(
            ops.convert_to_numpy(
                form.energy_and_slopes(columns, is_rise=True)[0]
            )
        )
        energy = orthogonal + rise
        if (
            bound is not None
            and 0.0 < random - lowest < math.inf
            and not are_few
        ):
            gap = float((rise - lowest) / (random - lowest))
    return Living(
        energy=energy,
        gap=gap,
        bound=bound,
        random_energy=float(orthogonal + random),
        most=int(per_group.max()),
        are_few=are_few,
    )

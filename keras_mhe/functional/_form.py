"""Which energy: the arguments that everything about an energy shares."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_mhe import _backend, _numerics, _validation
from keras_mhe._typing import Tensor
from keras_mhe.functional._bounds import minimum_energy
from keras_mhe.functional._levels import random_energy
from keras_mhe.functional._neurons import Directions
from keras_mhe.functional._pairs import sum_over_pairs
from keras_mhe.functional._potentials import Potential
from keras_mhe.functional._tiles import choose_tile


@dataclass(frozen=True)
class EnergyForm:
    """The scale-free energy of all pairs, as `hyperspherical_energy` names it.

    Attributes:
        power: Float >= 0.
        distance: `"euclidean"` or `"angular"`.
        half_space: Whether opposites count too.
        neuron_axis: Axis or axes of a kernel that count its neurons.
        groups: Blocks of neurons that do not meet each other.
        block_size: `"auto"` or edge of a tile.

    Raises:
        ValueError: If an argument is outside its range.
    """

    power: float = 2
    distance: str = "euclidean"
    half_space: bool = False
    neuron_axis: int | tuple[int, ...] = -1
    groups: int = 1
    block_size: int | str = "auto"

    def __post_init__(self) -> None:
        checked = {
            "power": self.potential.power,
            "half_space": _validation.boolean("half_space", self.half_space),
            "neuron_axis": _validation.axes(self.neuron_axis),
            "groups": _validation.positive_integer("groups", self.groups),
            "block_size": _validation.block_size(self.block_size),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def potential(self) -> Potential:
        """The energy of a pair."""
        return Potential(power=self.power, distance=self.distance)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return {
            "power": self.power,
            "distance": self.distance,
            "half_space": self.half_space,
            "neuron_axis": _validation.axes_config(self.neuron_axis),
            "groups": self.groups,
            "block_size": self.block_size,
        }

    def energy_and_slopes(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """The energy of columns, and its slopes by their directions.

        Args:
            columns: Float tensor, shape `(dim, N)`, a column for each neuron.

        Returns:
            The energy, and for each column the gradient, tangent to its
            sphere, of the mean energy `e_i` of its own pairs by its direction
            `u_i`, shape `(dim, N)`. Both float32 (float64 for float64 columns).
        """
        columns = ops.cast(columns, _numerics.computation_dtype(columns))
        num_neurons = columns.shape[1]
        tile = choose_tile(
            self.block_size,
            num_neurons // self.groups,
            num_tables=self.groups,
            dim=columns.shape[0],
            on_cpu=_backend.runs_on_cpu(columns),
        )
        total, gradient, count = sum_over_pairs(
            Directions.of(columns, 0.0),
            self.potential,
            self.half_space,
            self.groups,
            tile,
        )
        # Each pair is in the mean energies of two neurons.
        return total / count, gradient * (0.5 * num_neurons / count)

    def level(self, gap: float, shape: Sequence[int]) -> float:
        """The energy that has a gap, as `analysis.energy_gap` defines it.

        Args:
            gap: 0 for the proven minimum, 1 for random directions.
            shape: Of the kernel.

        Returns:
            The energy; infinite for neurons without a pair, or of a single
            entry.

        Raises:
            ValueError: If random directions have no finite energy, or the
                kernel does not have the axes or groups.
        """
        level: float = _backend.constant(_level, self, gap, tuple(shape))
        return level


@functools.lru_cache(maxsize=256)
def _level(form: EnergyForm, gap: float, shape: tuple[int, ...]) -> float:
    """See `EnergyForm.level`; the random level is an integral."""
    axes = _validation.axes_of_rank(form.neuron_axis, shape)
    num_neurons = math.prod([shape[axis] for axis in axes])
    _validation.groups_divide(form.groups, num_neurons)
    size, dim = num_neurons // form.groups, math.prod(shape) // num_neurons
    if size < 2 or dim < 2:
        return math.inf
    which = {
        "power": form.power,
        "distance": form.distance,
        "half_space": form.half_space,
    }
    lowest = minimum_energy(size, dim, **which)  # type: ignore[arg-type]
    random = random_energy(size, dim, **which)  # type: ignore[arg-type]
    _validation.random_level_is_finite(random, form.power, dim)
    return lowest + gap * (random - lowest)

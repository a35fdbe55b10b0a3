"""Which energy: the arguments that everything about an energy shares."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_mhe import _backend, _numerics, _validation
from keras_mhe._typing import Tensor
from keras_mhe.functional._levels import rises_of_levels
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

    def energy_and_slopes(
        self, columns: Tensor, *, is_rise: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The energy of columns, and its slopes by their directions.

        Args:
            columns: Float tensor, shape `(dim, N)`, a column for each neuron.
            is_rise: Whether to return, in place of the energy, what it is above
                that of orthogonal pairs, `f(0)`: with all digits where that is
                little, as in wide layers. Defaults to `False`.

        Returns:
            The energy; for each column the gradient, tangent to its sphere, of
            the mean energy `e_i` of its own pairs by its direction `u_i`, shape
            `(dim, N)`; and how many neurons of each group count, shape
            `(groups,)`. All float32 (float64 for float64 columns).
        """
        columns = ops.cast(columns, _numerics.computation_dtype(columns))
        dim, num_neurons = columns.shape
        tile = choose_tile(
            self.block_size,
            num_neurons // self.groups,
            num_tables=self.groups,
            dim=dim,
            on_cpu=_backend.runs_on_cpu(columns),
        )
        directions = Directions.of(columns, 0.0)
        total, gradient, count = sum_over_pairs(
            directions,
            dataclasses.replace(self.potential, is_rise=is_rise),
            self.half_space,
            self.groups,
            tile,
        )
        living = ops.sum(
            ops.reshape(directions.counts, (self.groups, -1)), axis=-1
        )
        # Each pair is in the mean energies of two neurons.
        slopes = gradient * (0.5 * ops.sum(living) / count)
        return total / count, slopes, living

    def level(self, gap: float, living: Tensor, shape: Sequence[int]) -> Tensor:
        """What the energy that has a gap is above that of orthogonal pairs.

        Args:
            gap: 0 for the proven minimum, 1 for random directions.
            living: Neurons of each group that count, shape `(groups,)`; the
                level is that of as many.
            shape: Of the columns, `(dim, N)`.

        Returns:
            A scalar tensor; 0 if no neurons meet.

        Raises:
            ValueError: If random directions have no finite energy.
        """
        dim, num_neurons = shape
        levels, pairs = _backend.constant(
            _levels_by_count, self, gap, num_neurons // self.groups, dim
        )
        index = ops.cast(living, _backend.INDEX_DTYPE)
        levels, pairs = (
            ops.take(ops.convert_to_tensor(table, living.dtype), index, axis=0)
            for table in (levels, pairs)
        )
        return ops.sum(levels * pairs) / _backend.at_least(ops.sum(pairs), 1.0)

    def num_pairs(self, count: int) -> float:
        """Pairs of neurons, in half space of them and their opposites."""
        partners = 2 * count - 1 if self.half_space else (count - 1) / 2
        return count * partners


@functools.lru_cache(maxsize=64)
def _levels_by_count(
    form: EnergyForm, gap: float, size: int, dim: int
) -> tuple[np.ndarray, np.ndarray]:
    """Level and number of pairs for 0 to `size` neurons in a group."""
    levels, pairs = np.zeros(size + 1), np.zeros(size + 1)
    if dim < 2:
        return levels, pairs
    for count in range(2, size + 1):
        lowest, random = rises_of_levels(
            form.potential, form.half_space, count, dim
        )
        _validation.random_level_is_finite(random, form.power, dim)
        levels[count] = lowest + gap * (random - lowest)
        pairs[count] = form.num_pairs(count)
    return levels, pairs

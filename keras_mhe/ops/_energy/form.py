"""Which energy: the arguments that everything about an energy shares."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import (
    axes_config,
    check_axes,
    check_block_size,
    check_boolean,
    check_integer,
)
from keras_mhe.ops._levels.bounds import lowest_pair
from keras_mhe.ops._levels.random import mean_rise
from keras_mhe.ops._pairs.neurons import Directions
from keras_mhe.ops._pairs.potentials import Potential
from keras_mhe.ops._pairs.sums import sum_over_pairs
from keras_mhe.ops._pairs.tiles import choose_tile


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
            "half_space": check_boolean("half_space", self.half_space),
            "neuron_axis": check_axes(self.neuron_axis),
            "groups": check_integer("groups", self.groups, at_least=1),
            "block_size": check_block_size(self.block_size),
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
            "neuron_axis": axes_config(self.neuron_axis),
            "groups": self.groups,
            "block_size": self.block_size,
        }

    def check_has_minimum(self) -> None:
        """Raises for the energy whose minimum nobody has proven."""
        if self.distance == "angular" and not self.half_space:
            raise ValueError(
                "A gap needs a proven minimum, and angles in full space have "
                'none. Use `half_space=True`, `distance="euclidean"` or '
                "`units=\"energy\"`. Received: distance='angular', "
                "half_space=False."
            )

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

    def levels(self, living: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        """Proven minimum, and what random directions have above it.

        Computed where they are needed, since neurons may die in training.

        Args:
            living: Neurons of each group that count, a float tensor of shape
                `(groups,)`; the levels are those of as many.
            dim: Int >= 2, dimension of the neurons.

        Returns:
            Two scalar tensors: the minimum above the energy of orthogonal
            pairs, and the difference of the levels. 0 and 1 if no neurons
            meet.

        Raises:
            ValueError: If random directions have no finite energy.
        """
        potential = dataclasses.replace(self.potential, is_rise=True)
        random = mean_rise(self.potential, dim)
        if math.isinf(random):
            raise ValueError(
                "A gap needs a finite energy of random directions, so `power` "
                f"below {dim - 1}, the dimension of the neurons minus 1. Lower "
                "`power`, or give `limit` in place of `gap`, or "
                f'`units="energy"`. Received: power={self.power}, '
                f"dimension {dim}."
            )
        meet = living > 1.0
        count = ops.where(meet, living, 2.0)

        def rise(cosine: Tensor) -> Tensor:
            if isinstance(cosine, float):
                return potential.value(cosine)
            return potential.value_and_slope(cosine)[0]

        lowest = lowest_pair(
            rise,
            count,
            dim,
            self.distance,
            self.half_space,
            ops,
        )
        excess = random - lowest
        pairs = count * (count - 1.0)
        if self.half_space:
            # Pairs of a neuron and its own opposite are the same for all.
            share = (2.0 * count - 2.0) / (2.0 * count - 1.0)
            own = potential.value(-1.0) / (2.0 * count - 1.0)
            lowest, excess = share * lowest + own, share * excess
            pairs = 2.0 * count * (2.0 * count - 1.0)
        pairs = ops.where(meet, pairs, 0.0)
        total = ops.sum(pairs)
        is_none = total == 0.0
        weights = pairs / ops.where(is_none, 1.0, total)
        return (
            ops.sum(weights * lowest),
            ops.sum(weights * excess) + ops.cast(is_none, living.dtype),
        )

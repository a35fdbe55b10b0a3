"""Which energy: the arguments that everything about an energy shares."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from keras_mhe._validation import (
    axes_config,
    check_axes,
    check_block_size,
    check_boolean,
    check_choice,
    check_integer,
    check_real,
)
from keras_mhe.ops._pairs.potentials import Potential

#: What an energy is measured in.
UNITS = ("energy", "gap")


@dataclass(frozen=True, repr=False)
class EnergyForm:
    """An energy of neurons, as `hyperspherical_energy` names it.

    Made once, of the arguments of a public call, and handed on whole.

    Attributes:
        power: Float >= 0.
        distance: `"euclidean"` or `"angular"`.
        half_space: Whether opposites count too.
        neuron_axis: Axis or axes of a kernel that count its neurons.
        groups: Blocks of neurons that do not meet each other.
        block_size: `"auto"` or edge of a tile.
        epsilon: Float >= 0, added under the root of the norm.
        units: `"energy"`, or `"gap"` for its place between the levels.

    Raises:
        ValueError: If an argument is outside its range, or for a gap where no
            minimum is proven.
    """

    power: float = 2
    distance: str = "euclidean"
    half_space: bool = False
    neuron_axis: int | tuple[int, ...] = -1
    groups: int = 1
    block_size: int | str = "auto"
    epsilon: float = 0.0
    units: str = "energy"

    def __post_init__(self) -> None:
        checked = {
            "power": self.potential.power,
            "half_space": check_boolean("half_space", self.half_space),
            "neuron_axis": check_axes(self.neuron_axis),
            "groups": check_integer("groups", self.groups, at_least=1),
            "block_size": check_block_size(self.block_size),
            "epsilon": check_real("epsilon", self.epsilon, at_least=0),
            "units": check_choice("units", self.units, UNITS),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        is_proven = self.distance == "euclidean" or self.half_space
        if self.units == "gap" and not is_proven:
            raise ValueError(
                "A gap needs a proven minimum, and angles in full space have "
                'none. Use `half_space=True`, `distance="euclidean"` or '
                "`units=\"energy\"`. Received: distance='angular', "
                "half_space=False."
            )

    @property
    def potential(self) -> Potential:
        """The energy of a pair."""
        return Potential(power=self.power, distance=self.distance)

    @property
    def rise(self) -> Potential:
        """What a pair has above an orthogonal one, with all its digits."""
        return dataclasses.replace(self.potential, is_rise=True)

    def __repr__(self) -> str:
        """The power, and what differs from the defaults."""
        words = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in dataclasses.fields(self)
            if field.name == "power"
            or getattr(self, field.name) != field.default
        ]
        return f"EnergyForm({', '.join(words)})"

    def get_config(self, *without: str) -> dict[str, Any]:
        """Returns the arguments as plain JSON values, `without` some."""
        config = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in without
        }
        return config | {"neuron_axis": axes_config(self.neuron_axis)}

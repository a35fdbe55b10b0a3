"""What the relatives of MHE share."""

from typing import Any

from keras_mhe._typing import Tensor
from keras_mhe._validation import (
    axes_config,
    check_axes,
    check_boolean,
    check_integer,
    check_real,
)
from keras_mhe.regularizers._neurons import NeuronRegularizer


class Relative(NeuronRegularizer):
    """A regularizer on the directions of a kernel's neurons.

    Subclasses name their further arguments in `own`, keep them as attributes
    of these names, and compute `value`.
    """

    own: tuple[str, ...] = ()

    def __init__(
        self,
        strength: float,
        half_space: bool,
        neuron_axis: int | tuple[int, ...],
        groups: int,
    ) -> None:
        self.strength = check_real("strength", strength, at_least=0)
        self.half_space = check_boolean("half_space", half_space)
        self.neuron_axis = check_axes(neuron_axis)
        self.groups = check_integer("groups", groups, at_least=1)

    def value(self, x: Tensor, **arguments: Any) -> Tensor:
        """Returns what is to become small."""
        raise NotImplementedError

    def term(self, x: Tensor) -> Tensor:
        """Returns `strength` times the term of the kernel `x`."""
        return self.strength * self.value(
            x,
            half_space=self.half_space,
            neuron_axis=self.neuron_axis,
            groups=self.groups,
            **{name: getattr(self, name) for name in self.own},
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return {
            "strength": self.strength,
            **{name: getattr(self, name) for name in self.own},
            "half_space": self.half_space,
            "neuron_axis": axes_config(self.neuron_axis),
            "groups": self.groups,
        }

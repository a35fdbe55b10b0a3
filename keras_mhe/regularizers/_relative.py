"""What the relatives of MHE share."""

from typing import Any

from keras_mhe import _validation
from keras_mhe._typing import Tensor
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
        self.strength = _validation.non_negative_real("strength", strength)
        self.half_space = _validation.boolean("half_space", half_space)
        self.neuron_axis = _validation.axes(neuron_axis)
        self.groups = _validation.positive_integer("groups", groups)

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
            "neuron_axis": _validation.axes_config(self.neuron_axis),
            "groups": self.groups,
        }

"""A weight that holds neurons."""

from dataclasses import dataclass
from math import prod

from keras import ops

from keras_mhe._neurons.computed import computed_weight
from keras_mhe._typing import KerasObject, Tensor
from keras_mhe.ops import hyperspherical_energy
from keras_mhe.ops._pairs.neurons import float_tensor, neuron_columns


@dataclass(frozen=True)
class NeuronKernel:
    """A weight whose neurons can be compared.

    Attributes:
        name: Name of the layer, after the names of the nested models it is
            in, and before the weight's name where a layer has several
            kernels, joined by slashes.
        variable: The Keras variable; with LoRA the one that is frozen.
        neuron_axis: Axis or axes that count the neurons.
        groups: Blocks of neurons that do not meet each other.
        layer: The layer that holds it, or `None`.
        path: Attribute of the layer that is the kernel, or of its cell.

    Example:
        >>> import keras
        >>> from keras_mhe.analysis import NeuronKernel
        >>> layer = keras.layers.Embedding(5, 3)
        >>> layer.build()
        >>> kernel = NeuronKernel("words", layer.embeddings, neuron_axis=0)
        >>> kernel.num_neurons, kernel.dim
        (5, 3)
    """

    name: str
    variable: KerasObject
    neuron_axis: int | tuple[int, ...] = -1
    groups: int = 1
    layer: KerasObject = None
    path: str = ""

    @property
    def num_neurons(self) -> int:
        """Number of neurons that meet each other, those of one group."""
        axes = self.neuron_axis
        named = (axes,) if isinstance(axes, int) else axes
        count: int = prod(self.variable.shape[axis] for axis in named)
        return count // self.groups

    @property
    def dim(self) -> int:
        """Number of entries of each neuron's vector."""
        size: int = prod(self.variable.shape)
        return size // (self.num_neurons * self.groups)

    def columns(self) -> Tensor:
        """The present neurons, a float tensor of shape `(dim, N)`.

        With `N` that of all groups, one group after the other.
        """
        kernel = self.variable
        if self.layer is not None:
            kernel = computed_weight(self.layer, self.path)
        return neuron_columns(float_tensor(kernel), self.neuron_axis)

    def energy(self, *, power: float, distance: str, half_space: bool) -> float:
        """Hyperspherical energy of the kernel's present values."""
        return float(
            ops.convert_to_numpy(
                hyperspherical_energy(
                    self.columns(),
                    power=power,
                    distance=distance,
                    half_space=half_space,
                    groups=self.groups,
                )
            )
        )

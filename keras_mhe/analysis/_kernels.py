"""Kernels of a model that hold neurons, with the axes that count them."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from keras import ops
from keras.layers import Wrapper

from keras_mhe._kernel_axes import kernel_axes
from keras_mhe._typing import KerasObject
from keras_mhe.functional import hyperspherical_energy
from keras_mhe.layers import AngularMargin


@dataclass(frozen=True)
class NeuronKernel:
    """A weight whose neurons can be compared.

    Attributes:
        name: Name of the layer, after the names of the nested models it is
            in, and before the weight's name where a layer has several
            kernels, joined by slashes.
        variable: The Keras variable.
        neuron_axis: Axis or axes that count the neurons.
        groups: Blocks of neurons that do not meet each other.

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

    def energy(self, *, power: float, distance: str, half_space: bool) -> float:
        """Hyperspherical energy of the kernel's present values."""
        return float(
            ops.convert_to_numpy(
                hyperspherical_energy(
                    self.variable,
                    power=power,
                    distance=distance,
                    half_space=half_space,
                    neuron_axis=self.neuron_axis,
                    groups=self.groups,
                )
            )
        )


def neuron_kernels(model: KerasObject) -> list[NeuronKernel]:
    """Finds the kernels of a built model's layers, nested models included.

    Covers dense, embedding, all convolution and the LSTM, GRU and simple
    recurrent layers, the heads of `keras_mhe.layers`, and any of these in a
    wrapper such as `SpectralNormalization`. Kernels with fewer
    than two neurons to compare, or with vectors of one entry, are left out,
    and a shared layer counts once.

    Args:
        model: A built Keras model.

    Returns:
        List of `NeuronKernel` in the order of `model.layers`.

    Raises:
        ValueError: If the model is not built, so has no kernels yet.

    Example:
        >>> import keras
        >>> from keras_mhe.analysis import neuron_kernels
        >>> model = keras.Sequential(
        ...     [keras.Input((4,)), keras.layers.Dense(3, name="hidden")]
        ... )
        >>> [(k.name, k.num_neurons, k.dim) for k in neuron_kernels(model)]
        [('hidden', 3, 4)]
    """
    if not model.built:
        raise ValueError(
            "`model` must be built. Received: a model without weights. Call "
            "it on data, or give it an Input."
        )
    found: dict[int, NeuronKernel] = {}
    for name, layer in _named_layers(model):
        for kernel in _kernels_of_layer(layer, name):
            if kernel.num_neurons > 1 and kernel.dim > 1:
                found.setdefault(id(kernel.variable), kernel)
    return list(found.values())


def _named_layers(
    model: KerasObject, prefix: str = ""
) -> Iterator[tuple[str, KerasObject]]:
    for layer in model.layers:
        name = f"{prefix}{layer.name}"
        while isinstance(layer, Wrapper):
            layer = layer.layer
        if hasattr(layer, "layers"):
            yield from _named_layers(layer, f"{name}/")
        else:
            yield name, layer


def _kernels_of_layer(layer: KerasObject, name: str) -> Iterator[NeuronKernel]:
    if isinstance(layer, AngularMargin):
        yield NeuronKernel(name, layer.kernel)
        return
    found = list(kernel_axes(layer))
    for axes in found:
        yield NeuronKernel(
            name if len(found) == 1 else f"{name}/{axes.path}",
            axes.variable(layer),
            axes.neuron_axis,
            axes.groups,
        )

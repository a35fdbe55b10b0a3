"""Kernels of a model that hold neurons, with the axes that count them."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from keras import layers, ops

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
    recurrent layers, and the heads of `keras_mhe.layers`. Kernels with fewer
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
        if hasattr(layer, "layers"):
            yield from _named_layers(layer, f"{name}/")
        else:
            yield name, layer


def _kernels_of_layer(layer: KerasObject, name: str) -> Iterator[NeuronKernel]:
    if isinstance(layer, _LAST_AXIS):
        # The filters of one group of a convolution share their inputs.
        groups = getattr(layer, "groups", 1)
        yield NeuronKernel(name, layer.kernel, -1, groups)
    elif isinstance(layer, _TRANSPOSED):
        yield NeuronKernel(name, layer.kernel, -2)
    elif isinstance(layer, _DEPTHWISE):
        yield _depthwise(name, layer.kernel)
    elif isinstance(layer, _SEPARABLE):
        yield _depthwise(f"{name}/depthwise_kernel", layer.depthwise_kernel)
        yield NeuronKernel(f"{name}/pointwise_kernel", layer.pointwise_kernel)
    elif isinstance(layer, layers.Embedding):
        yield NeuronKernel(name, layer.embeddings, 0)
    else:
        for recurrent, gates in _GATES.items():
            if isinstance(layer, recurrent):
                yield NeuronKernel(name, layer.cell.kernel, -1, gates)


def _depthwise(name: str, kernel: KerasObject) -> NeuronKernel:
    """Filters `(..., in, multiplier)` compared within an input channel."""
    return NeuronKernel(name, kernel, (-2, -1), kernel.shape[-2])


_LAST_AXIS = (
    layers.Dense,
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    AngularMargin,
)
_TRANSPOSED = (
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
#: Recurrent layers are compared gate by gate.
_GATES = {layers.LSTM: 4, layers.GRU: 3, layers.SimpleRNN: 1}

"""Kernels of a model that hold neurons, with the axes that count them."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from keras import ops

from keras_mhe._computed_weights import (
    computed_weight,
    has_known_weight,
    stored_weight,
)
from keras_mhe._kernel_axes import KernelAxes, kernel_axes
from keras_mhe._neurons.walk import check_model, is_known, named_layers
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


def neuron_kernels(model: KerasObject) -> list[NeuronKernel]:
    """Finds the kernels of a built model's layers, nested models included.

    Covers dense, einsum, embedding, all convolution and the LSTM, GRU and
    simple recurrent layers, the heads of `keras_mhe.layers`, and any of these
    in a wrapper such as `SpectralNormalization` or in a layer of layers such
    as `MultiHeadAttention`. Kernels with fewer than two neurons to compare, or
    with vectors of one entry, or quantized with int4, GPTQ or AWQ, are left
    out, and a shared layer counts once.

    Args:
        model: A built Keras model.

    Returns:
        List of `NeuronKernel` in the order of `model.layers`.

    Raises:
        ValueError: If it is no model of Keras, or not built, so has no
            kernels yet.

    Example:
        >>> import keras
        >>> from keras_mhe.analysis import neuron_kernels
        >>> model = keras.Sequential(
        ...     [keras.Input((4,)), keras.layers.Dense(3, name="hidden")]
        ... )
        >>> [(k.name, k.num_neurons, k.dim) for k in neuron_kernels(model)]
        [('hidden', 3, 4)]
    """
    check_model(model)
    if not model.built:
        raise ValueError(
            "`model` must be built. Received: a model without weights. Call "
            "it on data, or give it an Input."
        )
    found: dict[int, NeuronKernel] = {}
    for name, layer in named_layers(model):
        if is_known(layer) and layer.built and has_known_weight(layer):
            for kernel in kernels_of_layer(name, layer):
                if kernel.num_neurons > 1 and kernel.dim > 1:
                    found.setdefault(id(kernel.variable), kernel)
    return list(found.values())


def kernels_of_layer(name: str, layer: KerasObject) -> Iterator[NeuronKernel]:
    """Yields the kernels of a built layer of a known kind."""
    found = axes_of(layer)
    for axes in found:
        yield NeuronKernel(
            name if len(found) == 1 else f"{name}/{axes.path}",
            stored_weight(layer, axes.path),
            axes.neuron_axis,
            axes.groups,
            layer,
            axes.path,
        )


def axes_of(layer: KerasObject) -> list[KernelAxes]:
    """Returns the kernels of a layer of a known kind, heads included."""
    return list(kernel_axes(layer)) or [KernelAxes("kernel")]

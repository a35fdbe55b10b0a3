"""Where the layers of Keras keep their kernels, and which axes are neurons."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from keras import layers

from keras_mhe._typing import KerasObject


@dataclass(frozen=True)
class KernelAxes:
    """A kernel of a layer.

    Attributes:
        path: Attribute of the layer, or of its cell as `"cell.kernel"`.
        neuron_axis: Axis or axes that count the neurons.
        groups: Blocks of neurons that do not meet each other.
        regularizer_path: Attribute of the layer, or of its cell, that holds
            the kernel's regularizer.
    """

    path: str
    neuron_axis: int | tuple[int, ...] = -1
    groups: int = 1
    regularizer_path: str = "kernel_regularizer"

    def variable(self, layer: KerasObject) -> KerasObject:
        """Returns the Keras variable."""
        return attrgetter(self.path)(layer)


def kernel_axes(layer: KerasObject) -> Iterator[KernelAxes]:
    """Yields the kernels of a built layer; none for other kinds of layers.

    Covers dense, einsum, embedding, all convolution and the LSTM, GRU and
    simple recurrent layers and their cells.
    """
    if isinstance(layer, _LAST_AXIS):
        # The filters of one group of a convolution share their inputs.
        yield KernelAxes("kernel", -1, getattr(layer, "groups", 1))
    elif isinstance(layer, _TRANSPOSED):
        yield KernelAxes("kernel", -2)
    elif isinstance(layer, _DEPTHWISE):
        yield _depthwise(layer, "kernel")
    elif isinstance(layer, _SEPARABLE):
        yield _depthwise(layer, "depthwise_kernel")
        yield KernelAxes("pointwise_kernel", -1, 1, "pointwise_regularizer")
    elif isinstance(layer, layers.Embedding):
        yield KernelAxes("embeddings", 0, 1, "embeddings_regularizer")
    elif isinstance(layer, layers.EinsumDense):
        yield _einsum(layer)
    else:
        for cell, gates in _CELL_GATES.items():
            if isinstance(layer, cell):
                yield KernelAxes("kernel", -1, gates)
        for recurrent, gates in _GATES.items():
            if isinstance(layer, recurrent):
                yield KernelAxes(
                    "cell.kernel", -1, gates, "cell.kernel_regularizer"
                )


def _depthwise(layer: KerasObject, path: str) -> KernelAxes:
    """Filters `(..., in, multiplier)` compared within an input channel."""
    channels = getattr(layer, path).shape[-2]
    return KernelAxes(path, (-2, -1), channels, "depthwise_regularizer")


def _einsum(layer: KerasObject) -> KernelAxes:
    """Neurons are the outputs; an axis that all three share makes groups.

    As in `"abc,cde->abde"`, the query of `MultiHeadAttention`, with a neuron
    for each head and each of its entries.
    """
    operands, outputs = layer.equation.replace(" ", "").split("->")
    inputs, kernel = operands.split(",")
    made = [k for k, letter in enumerate(kernel) if letter in outputs]
    shared = [k for k in made if kernel[k] in inputs]
    axes = (*shared, *(k for k in made if k not in shared))
    sizes = [layer.kernel.shape[axis] for axis in shared]
    # From the end, as for the other layers, where there is one axis.
    is_last = axes == (len(kernel) - 1,)
    return KernelAxes("kernel", -1 if is_last else axes, math.prod(sizes))


_LAST_AXIS = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)
_TRANSPOSED = (
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
#: Recurrent layers are compared gate by gate.
_GATES = {
    layers.LSTM: 4,
    layers.GRU: 3,
    layers.SimpleRNN: 1,
    layers.ConvLSTM1D: 4,
    layers.ConvLSTM2D: 4,
    layers.ConvLSTM3D: 4,
}
_CELL_GATES = {layers.LSTMCell: 4, layers.GRUCell: 3, layers.SimpleRNNCell: 1}

#: Every kind of layer for which `kernel_axes` yields a kernel.
LAYERS_WITH_KERNELS = (
    *_LAST_AXIS,
    *_TRANSPOSED,
    *_DEPTHWISE,
    *_SEPARABLE,
    layers.Embedding,
    layers.EinsumDense,
    *_CELL_GATES,
    *_GATES,
)

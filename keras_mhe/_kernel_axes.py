"""Where the layers of Keras keep their kernels, and which axes are neurons."""

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
    """

    path: str
    neuron_axis: int | tuple[int, ...] = -1
    groups: int = 1

    def variable(self, layer: KerasObject) -> KerasObject:
        """Returns the Keras variable."""
        return attrgetter(self.path)(layer)


def kernel_axes(layer: KerasObject) -> Iterator[KernelAxes]:
    """Yields the kernels of a built layer; none for other kinds of layers.

    Covers dense, embedding, all convolution and the LSTM, GRU and simple
    recurrent layers.
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
        yield KernelAxes("pointwise_kernel")
    elif isinstance(layer, layers.Embedding):
        yield KernelAxes("embeddings", 0)
    else:
        for recurrent, gates in _GATES.items():
            if isinstance(layer, recurrent):
                yield KernelAxes("cell.kernel", -1, gates)


def _depthwise(layer: KerasObject, path: str) -> KernelAxes:
    """Filters `(..., in, multiplier)` compared within an input channel."""
    return KernelAxes(path, (-2, -1), getattr(layer, path).shape[-2])


_LAST_AXIS = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)
_TRANSPOSED = (
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
#: Recurrent layers are compared gate by gate.
_GATES = {layers.LSTM: 4, layers.GRU: 3, layers.SimpleRNN: 1}

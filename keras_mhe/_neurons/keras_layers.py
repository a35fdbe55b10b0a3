"""The layers of Keras that hold neurons. Others have none."""

import math
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from keras import layers

from keras_mhe._neurons.registry import register_neurons
from keras_mhe._typing import KerasObject


def _channels(path: str) -> Callable[[KerasObject], int]:
    """Filters `(..., in, multiplier)` meet within an input channel."""

    def groups(layer: KerasObject) -> int:
        channels: int = getattr(layer, path).shape[-2]
        return channels

    return groups


def _einsum_axes(layer: KerasObject) -> int | tuple[int, ...] | None:
    """Axes of the outputs, first those that the inputs have too.

    As in `"abc,cde->abde"`, the query of `MultiHeadAttention`, with a neuron
    for each head and each of its entries. In `"ab,b->ab"` there are none.
    """
    shared, made, rank = _einsum(layer)
    if len(made) in (0, rank):
        return None
    axes = (*shared, *(axis for axis in made if axis not in shared))
    # From the end, as for the other layers, where there is one axis.
    return -1 if axes == (rank - 1,) else axes


def _einsum_groups(layer: KerasObject) -> int:
    """An axis that inputs, kernel and outputs share makes groups."""
    shared, _, _ = _einsum(layer)
    return math.prod(layer.kernel.shape[axis] for axis in shared)


def _einsum(layer: KerasObject) -> tuple[list[int], list[int], int]:
    """Axes shared by all three, axes shared with the outputs, rank."""
    operands, outputs = layer.equation.replace(" ", "").split("->")
    inputs, kernel = operands.split(",")
    made = [k for k, letter in enumerate(kernel) if letter in outputs]
    shared = [k for k in made if kernel[k] in inputs]
    return shared, made, len(kernel)


def _reverse_axis(layer: KerasObject) -> int | None:
    return None if layer.tie_weights else -1


_CONV = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_TRANSPOSED = (
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
_OF_KERNEL, _OF_DEPTHWISE = "kernel_regularizer", "depthwise_regularizer"

#: Classes, weight, neuron axis, groups, regularizer.
_LAYERS: tuple[tuple[tuple[type, ...], str, Any, Any, str | None], ...] = (
    ((layers.Dense,), "kernel", -1, 1, _OF_KERNEL),
    # The filters of one group of a convolution share their inputs.
    (_CONV, "kernel", -1, attrgetter("groups"), _OF_KERNEL),
    (_TRANSPOSED, "kernel", -2, 1, _OF_KERNEL),
    (_DEPTHWISE, "kernel", (-2, -1), _channels("kernel"), _OF_DEPTHWISE),
    (
        _SEPARABLE,
        "depthwise_kernel",
        (-2, -1),
        _channels("depthwise_kernel"),
        _OF_DEPTHWISE,
    ),
    (_SEPARABLE, "pointwise_kernel", -1, 1, "pointwise_regularizer"),
    ((layers.Embedding,), "embeddings", 0, 1, "embeddings_regularizer"),
    (
        (layers.ReversibleEmbedding,),
        "reverse_embeddings",
        _reverse_axis,
        1,
        None,
    ),
    (
        (layers.EinsumDense,),
        "kernel",
        _einsum_axes,
        _einsum_groups,
        _OF_KERNEL,
    ),
)
for _kinds, _path, _axis, _number, _regularizer in _LAYERS:
    for _kind in _kinds:
        register_neurons(
            _kind,
            _path,
            neuron_axis=_axis,
            groups=_number,
            regularizer=_regularizer,
        )

#: Number of gates, a cell, and layers that have such a cell. A neuron of the
#: kernel is how an entry of a gate sees the inputs, one of the recurrent
#: kernel how it sees the last state. They meet within a gate.
_RECURRENT: tuple[tuple[int, type, tuple[type, ...]], ...] = (
    (1, layers.SimpleRNNCell, (layers.SimpleRNN,)),
    (3, layers.GRUCell, (layers.GRU,)),
    (
        4,
        layers.LSTMCell,
        (
            layers.LSTM,
            layers.ConvLSTM1D,
            layers.ConvLSTM2D,
            layers.ConvLSTM3D,
        ),
    ),
)
for _path in ("kernel", "recurrent_kernel"):
    _regularizer = f"{_path.removesuffix('_kernel')}_regularizer"
    for _gates, _cell, _kinds in _RECURRENT:
        register_neurons(_cell, _path, groups=_gates, regularizer=_regularizer)
        for _kind in _kinds:
            register_neurons(
                _kind,
                f"cell.{_path}",
                groups=_gates,
                regularizer=f"cell.{_regularizer}",
            )

"""`neuron_kernels`: which weights of a model hold neurons, and their axes."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe.analysis import neuron_kernels
from keras_mhe.layers import ArcFace
from support import numpy_reference

#: A layer, its input's shape, and for each kernel: end of its name, axis,
#: groups, number of neurons that meet, dimension.
CASES = {
    "Dense": (lambda: layers.Dense(5), (4,), [("", -1, 1, 5, 4)]),
    "Conv1D": (lambda: layers.Conv1D(5, 3), (6, 2), [("", -1, 1, 5, 6)]),
    "Conv2D": (lambda: layers.Conv2D(5, 2), (4, 4, 2), [("", -1, 1, 5, 8)]),
    "Conv3D": (
        lambda: layers.Conv3D(5, 2),
        (3, 3, 3, 1),
        [("", -1, 1, 5, 8)],
    ),
    "grouped Conv2D": (
        lambda: layers.Conv2D(6, 2, groups=2),
        (4, 4, 4),
        [("", -1, 2, 3, 8)],
    ),
    "Conv1DTranspose": (
        lambda: layers.Conv1DTranspose(4, 3),
        (4, 2),
        [("", -2, 1, 4, 6)],
    ),
    "Conv2DTranspose": (
        lambda: layers.Conv2DTranspose(4, 2),
        (3, 3, 2),
        [("", -2, 1, 4, 8)],
    ),
    "Conv3DTranspose": (
        lambda: layers.Conv3DTranspose(4, 2),
        (2, 2, 2, 1),
        [("", -2, 1, 4, 8)],
    ),
    "DepthwiseConv1D": (
        lambda: layers.DepthwiseConv1D(4, depth_multiplier=3),
        (6, 2),
        [("", (-2, -1), 2, 3, 4)],
    ),
    "DepthwiseConv2D": (
        lambda: layers.DepthwiseConv2D(2, depth_multiplier=3),
        (4, 4, 2),
        [("", (-2, -1), 2, 3, 4)],
    ),
    "DepthwiseConv2D with one filter per channel": (
        lambda: layers.DepthwiseConv2D(2),
        (4, 4, 2),
        [],
    ),
    "SeparableConv1D": (
        lambda: layers.SeparableConv1D(5, 4, depth_multiplier=3),
        (6, 2),
        [
            ("/depthwise_kernel", (-2, -1), 2, 3, 4),
            ("/pointwise_kernel", -1, 1, 5, 6),
        ],
    ),
    "SeparableConv2D with one filter per channel": (
        lambda: layers.SeparableConv2D(5, 2),
        (4, 4, 2),
        [("/pointwise_kernel", -1, 1, 5, 2)],
    ),
    "Embedding": (lambda: layers.Embedding(6, 4), (3,), [("", 0, 1, 6, 4)]),
    "LSTM": (lambda: layers.LSTM(3), (4, 5), [("", -1, 4, 3, 5)]),
    "GRU": (lambda: layers.GRU(3), (4, 5), [("", -1, 3, 3, 5)]),
    "SimpleRNN": (lambda: layers.SimpleRNN(3), (4, 5), [("", -1, 1, 3, 5)]),
    "ArcFace": (lambda: ArcFace(6), (4,), [("", -1, 1, 6, 4)]),
    "SimpleRNN of cells": (
        lambda: layers.RNN([layers.GRUCell(3), layers.SimpleRNNCell(4)]),
        (4, 5),
        [
            ("/stacked_rnn_cells/gru_cell", -1, 3, 3, 5),
            ("/stacked_rnn_cells/simple_rnn_cell", -1, 1, 4, 3),
        ],
    ),
    "LSTM in both directions": (
        lambda: layers.Bidirectional(layers.LSTM(3, name="lstm")),
        (4, 5),
        [("/forward_lstm", -1, 4, 3, 5), ("/backward_lstm", -1, 4, 3, 5)],
    ),
    "ConvLSTM1D": (
        lambda: layers.ConvLSTM1D(3, 2),
        (4, 5, 2),
        [("", -1, 4, 3, 4)],
    ),
    "EinsumDense": (
        lambda: layers.EinsumDense("abc,cd->abd", (4, 5)),
        (4, 3),
        [("", -1, 1, 5, 3)],
    ),
    "EinsumDense with two axes of outputs": (
        lambda: layers.EinsumDense("ab,bcd->acd", (3, 2)),
        (4,),
        [("", (1, 2), 1, 6, 4)],
    ),
    "EinsumDense with a kernel for each position": (
        lambda: layers.EinsumDense("abc,bcd->abd", (3, 5)),
        (3, 4),
        [("", (0, 2), 3, 5, 4)],
    ),
    "EinsumDense with any axes": (
        lambda: layers.EinsumDense("...x,xy->...y", 5),
        (2, 3, 4),
        [("", -1, 1, 5, 4)],
    ),
    "TimeDistributed": (
        lambda: layers.TimeDistributed(layers.Dense(5)),
        (3, 4),
        [("", -1, 1, 5, 4)],
    ),
    "one unit": (lambda: layers.Dense(1), (4,), []),
    "one input": (lambda: layers.Dense(4), (1,), []),
    "no kernel": (lambda: layers.BatchNormalization(), (4,), []),
}


@pytest.mark.parametrize("name", CASES)
def test_layer(name):
    make, input_shape, expected = CASES[name]
    layer = make()
    model = keras.Sequential([keras.Input(input_shape), layer])
    found = neuron_kernels(model)
    assert [
        (
            kernel.name.removeprefix(layer.name),
            kernel.neuron_axis,
            kernel.groups,
            kernel.num_neurons,
            kernel.dim,
        )
        for kernel in found
    ] == expected
    for kernel in found:
        form = {"power": 1, "distance": "angular", "half_space": True}
        energy = kernel.energy(**form)
        assert type(energy) is float
        by_loops = numpy_reference.energy(
            ops.convert_to_numpy(kernel.variable),
            neuron_axis=kernel.neuron_axis,
            groups=kernel.groups,
            **form,
        )
        np.testing.assert_allclose(energy, by_loops, rtol=1e-5)


def test_order_is_that_of_the_layers():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, name="conv"),
            layers.Flatten(),
            layers.Dense(3, name="last"),
        ]
    )
    assert [kernel.name for kernel in neuron_kernels(model)] == ["conv", "last"]


def test_nested_models_have_paths():
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="hidden")], name="inner"
    )
    inputs = keras.Input((4,))
    outputs = layers.Dense(2, name="hidden")(inner(inputs))
    model = keras.Model(inputs, outputs, name="outer")
    found = neuron_kernels(model)
    assert [kernel.variable.shape for kernel in found] == [(4, 3), (3, 2)]
    names = [kernel.name for kernel in found]
    assert len(set(names)) == 2
    assert names[1] == "hidden"
    assert names[0].endswith("inner/hidden")


def test_shared_layer_counts_once():
    shared = layers.Dense(4, name="shared")
    inputs = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), shared])
    model = keras.Model(inputs, layers.add([shared(inputs), inner(inputs)]))
    assert len(neuron_kernels(model)) == 1


def test_model_without_kernels():
    model = keras.Sequential([keras.Input((4,)), layers.ReLU()])
    assert neuron_kernels(model) == []


def test_attention():
    inputs = keras.Input((5, 6))
    outputs = layers.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    found = neuron_kernels(keras.Model(inputs, outputs))
    inner = ("query", "key", "value", "attention_output")
    assert [k.name for k in found] == [f"attention/{name}" for name in inner]
    assert [k.neuron_axis for k in found] == [(1, 2)] * 3 + [-1]
    assert [(k.num_neurons, k.dim) for k in found] == [(8, 6)] * 3 + [(6, 8)]


class Block(layers.Layer):
    """A layer of layers, with one in a list."""

    def __init__(self, **options):
        super().__init__(**options)
        self.first = layers.Dense(4, name="first")
        self.others = [layers.Dense(3, name="other")]

    def call(self, inputs):
        return self.others[0](self.first(inputs))


class Whole(keras.Model):
    """A subclassed model."""

    def __init__(self):
        super().__init__()
        self.block = Block(name="block")
        self.last = layers.Dense(2, name="last")

    def call(self, inputs):
        return self.last(self.block(inputs))


def test_layers_of_layers_and_subclassed_models():
    model = Whole()
    model(np.ones((1, 5), "float32"))
    names = [kernel.name for kernel in neuron_kernels(model)]
    assert names == ["block/first", "block/other", "last"]


def test_lora():
    layer = layers.Dense(4)
    model = keras.Sequential([keras.Input((5,)), layer])
    layer.enable_lora(2)
    (kernel,) = neuron_kernels(model)
    assert (kernel.num_neurons, kernel.dim) == (4, 5)
    assert np.isfinite(
        kernel.energy(power=2, distance="euclidean", half_space=False)
    )

"""Layers with neurons, and where these are."""

from keras import layers

from keras_mhe.layers import ArcFace, SpectralNormalization

#: A layer, its input's shape, and for each kernel: end of its name, axis,
#: groups, number of neurons that meet, dimension.
LAYERS = {
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
    "wrapped": (
        lambda: SpectralNormalization(layers.Dense(5, name="dense")),
        (4,),
        [("", -1, 1, 5, 4)],
    ),
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

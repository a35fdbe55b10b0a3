"""Layers with neurons, and where these are."""

from keras import layers

from keras_mhe.layers import ArcFace, SpectralNormalization


def recurrent(name, gates, units, dim, recurrent_dim):
    """What is expected of both kernels of a recurrent layer."""
    return [
        (f"{name}/kernel", -1, gates, units, dim),
        (f"{name}/recurrent_kernel", -1, gates, units, recurrent_dim),
    ]


#: A layer, its input's shape, and for each kernel: end of its name, axis,
#: groups, number of neurons that meet, dimension.
LAYERS = {
    "Dense": (lambda: layers.Dense(5), (4,), [("", -1, 1, 5, 4)]),
    "Conv1D": (lambda: layers.Conv1D(5, 3), (6, 2), [("", -1, 1, 5, 6)]),
    "Conv2D": (lambda: layers.Conv2D(5, 2), (4, 4, 2), [("", -1, 1, 5, 8)]),
    "Conv3D": (lambda: layers.Conv3D(5, 2), (3, 3, 3, 1), [("", -1, 1, 5, 8)]),
    "grouped Conv2D": (
        lambda: layers.Conv2D(6, 2, groups=2), (4, 4, 4),
        [("", -1, 2, 3, 8)],
    ),
    "Conv1DTranspose": (
        lambda: layers.Conv1DTranspose(4, 3), (4, 2),
        [("", -2, 1, 4, 6)],
    ),
    "Conv2DTranspose": (
        lambda: layers.Conv2DTranspose(4, 2), (3, 3, 2),
        [("", -2, 1, 4, 8)],
    ),
    "Conv3DTranspose": (
        lambda: layers.Conv3DTranspose(4, 2), (2, 2, 2, 1),
        [("", -2, 1, 4, 8)],
    ),
    "DepthwiseConv1D": (
        lambda: layers.DepthwiseConv1D(4, depth_multiplier=3), (6, 2),
        [("", (-2, -1), 2, 3, 4)],
    ),
    "DepthwiseConv2D": (
        lambda: layers.DepthwiseConv2D(2, depth_multiplier=3), (4, 4, 2),
        [("", (-2, -1), 2, 3, 4)],
    ),
    "DepthwiseConv2D with one filter per channel": (
        lambda: layers.DepthwiseConv2D(2), (4, 4, 2), [],
    ),
    "SeparableConv1D": (
        lambda: layers.SeparableConv1D(5, 4, depth_multiplier=3), (6, 2),
        [
            ("/depthwise_kernel", (-2, -1), 2, 3, 4),
            ("/pointwise_kernel", -1, 1, 5, 6),
        ],
    ),
    "SeparableConv2D with one filter per channel": (
        lambda: layers.SeparableConv2D(5, 2), (4, 4, 2),
        [("/pointwise_kernel", -1, 1, 5, 2)],
    ),
    "Embedding": (lambda: layers.Embedding(6, 4), (3,), [("", 0, 1, 6, 4)]),
    "untied ReversibleEmbedding": (
        lambda: layers.ReversibleEmbedding(6, 4, tie_weights=False), (3,),
        [("/embeddings", 0, 1, 6, 4), ("/reverse_embeddings", -1, 1, 6, 4)],
    ),
    "tied ReversibleEmbedding": (
        lambda: layers.ReversibleEmbedding(6, 4), (3,), [("", 0, 1, 6, 4)],
    ),
    "LSTM": (lambda: layers.LSTM(3), (4, 5), recurrent("", 4, 3, 5, 3)),
    "GRU": (lambda: layers.GRU(3), (4, 5), recurrent("", 3, 3, 5, 3)),
    "SimpleRNN": (
        lambda: layers.SimpleRNN(3), (4, 5), recurrent("", 1, 3, 5, 3),
    ),
    "ArcFace": (lambda: ArcFace(6), (4,), [("", -1, 1, 6, 4)]),
    "wrapped": (
        lambda: SpectralNormalization(layers.Dense(5, name="dense")), (4,),
        [("", -1, 1, 5, 4)],
    ),
    "RNN of a cell": (
        lambda: layers.RNN(layers.LSTMCell(3)), (4, 5),
        recurrent("/lstm_cell", 4, 3, 5, 3),
    ),
    "RNN of cells in a stack": (
        lambda: layers.RNN([layers.GRUCell(3), layers.SimpleRNNCell(4)]),
        (4, 5),
        recurrent("/stacked_rnn_cells/gru_cell", 3, 3, 5, 3)
        + recurrent("/stacked_rnn_cells/simple_rnn_cell", 1, 4, 3, 4),
    ),
    "LSTM in both directions": (
        lambda: layers.Bidirectional(layers.LSTM(3, name="lstm")), (4, 5),
        recurrent("/forward_lstm", 4, 3, 5, 3)
        + recurrent("/backward_lstm", 4, 3, 5, 3),
    ),
    "GRU at each step": (
        lambda: layers.TimeDistributed(layers.GRU(3)), (2, 4, 5),
        recurrent("", 3, 3, 5, 3),
    ),
    "ConvLSTM1D": (
        lambda: layers.ConvLSTM1D(3, 2), (4, 5, 2), recurrent("", 4, 3, 4, 6),
    ),
    "EinsumDense": (
        lambda: layers.EinsumDense("abc,cd->abd", (4, 5)), (4, 3),
        [("", -1, 1, 5, 3)],
    ),
    "EinsumDense with two axes of outputs": (
        lambda: layers.EinsumDense("ab,bcd->acd", (3, 2)), (4,),
        [("", (1, 2), 1, 6, 4)],
    ),
    "EinsumDense with a kernel for each position": (
        lambda: layers.EinsumDense("abc,bcd->abd", (3, 5)), (3, 4),
        [("", (0, 2), 3, 5, 4)],
    ),
    "EinsumDense with any axes": (
        lambda: layers.EinsumDense("...x,xy->...y", 5), (2, 3, 4),
        [("", -1, 1, 5, 4)],
    ),
    "EinsumDense without vectors": (
        lambda: layers.EinsumDense("ab,b->ab", 4), (4,), [],
    ),
    "TimeDistributed": (
        lambda: layers.TimeDistributed(layers.Dense(5)), (3, 4),
        [("", -1, 1, 5, 4)],
    ),
    "one unit": (lambda: layers.Dense(1), (4,), []),
    "one input": (lambda: layers.Dense(4), (1,), []),
    "no kernel": (lambda: layers.BatchNormalization(), (4,), []),
}  # fmt: skip

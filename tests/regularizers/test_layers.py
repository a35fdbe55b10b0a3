"""`MHE` in each kind of layer that it supports, with the axis of its kernel."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe import MHE
from support import numpy_reference
from support.tensors import as_array, total
from support.tolerances import GRADIENT


def attention(**arguments):
    """As a layer of one input."""
    layer = layers.MultiHeadAttention(4, 3, **arguments)
    return lambda inputs: layer(inputs, inputs)


KERNEL = "kernel_regularizer"
#: A layer, its input's shape, the argument that takes the regularizer, where
#: the neurons are, and the shapes of the kernels that it regularizes.
CASES = {
    "Dense": (
        lambda **r: layers.Dense(5, **r), (4,), KERNEL,
        {}, [(4, 5)],
    ),
    "grouped Conv2D": (
        lambda **r: layers.Conv2D(6, 2, groups=2, **r), (4, 4, 4), KERNEL,
        {"groups": 2}, [(2, 2, 2, 6)],
    ),
    "Conv2DTranspose": (
        lambda **r: layers.Conv2DTranspose(4, 2, **r), (3, 3, 2), KERNEL,
        {"neuron_axis": -2}, [(2, 2, 4, 2)],
    ),
    "DepthwiseConv2D": (
        lambda **r: layers.DepthwiseConv2D(2, depth_multiplier=3, **r),
        (4, 4, 2), "depthwise_regularizer",
        {"neuron_axis": (-2, -1), "groups": 2}, [(2, 2, 2, 3)],
    ),
    "Embedding": (
        lambda **r: layers.Embedding(6, 4, **r), (3,), "embeddings_regularizer",
        {"neuron_axis": 0}, [(6, 4)],
    ),
    "EinsumDense": (
        lambda **r: layers.EinsumDense("abc,cde->abde", (None, 2, 3), **r),
        (4, 5), KERNEL, {"neuron_axis": (1, 2)}, [(5, 2, 3)],
    ),
    "MultiHeadAttention by head": (
        attention, (4, 8), KERNEL,
        {"neuron_axis": (1, 2), "groups": 4}, [(8, 4, 3)] * 3 + [(4, 3, 8)],
    ),
    "LSTM": (
        lambda **r: layers.LSTM(3, **r), (4, 5), KERNEL,
        {"groups": 4}, [(5, 12)],
    ),
}  # fmt: skip

STRENGTH = 0.3


@pytest.mark.parametrize("name", CASES)
def test_loss_and_training_step_are_those_of_the_kernels(name):
    make, input_shape, argument, places, shapes = CASES[name]
    form = {"power": 1, "half_space": True, **places}
    regularizer = MHE(STRENGTH, **form)
    inputs = keras.Input(input_shape)
    model = keras.Model(inputs, make(**{argument: regularizer})(inputs))
    kernels = [
        variable
        for variable in model.trainable_variables
        if variable.regularizer is regularizer
    ]
    assert [tuple(kernel.shape) for kernel in kernels] == shapes
    before = [as_array(kernel) for kernel in kernels]
    expected = STRENGTH * sum(
        numpy_reference.energy(kernel, **form) for kernel in before
    )
    assert len(model.losses) == len(kernels)
    np.testing.assert_allclose(total(model.losses), expected, rtol=1e-5)

    # The data add nothing to the gradient; jit is XLA's slow part on
    # TensorFlow and `test_training.py` has it, while JAX needs it.
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=lambda y_true, y_pred: 0.0 * ops.mean(y_pred),
        jit_compile=keras.backend.backend() == "jax",
    )
    loss = model.train_on_batch(
        np.ones((2, *input_shape), "float32"), np.zeros((2, 1))
    )
    np.testing.assert_allclose(float(loss), expected, rtol=1e-5)
    for kernel, old in zip(kernels, before, strict=True):
        slopes = STRENGTH * numpy_reference.gradient(old, **form)
        largest = np.abs(slopes).max()
        assert largest > 1e-3
        # The change is a difference of float32 weights.
        np.testing.assert_allclose(
            as_array(kernel) - old,
            -slopes,
            atol=GRADIENT["float32"] * largest + 2e-7,
        )

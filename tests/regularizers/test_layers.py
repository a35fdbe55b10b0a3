"""`MHE` in every layer that it supports, with the axis of its kernel."""

from dataclasses import dataclass, field

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe import MHE
from keras_mhe.functional import hyperspherical_energy
from support import numpy_reference
from support.gradients import FASTEST, value_and_grad
from support.tensors import as_float, total
from support.tolerances import GRADIENT


@dataclass(frozen=True)
class Case:
    """A layer, the regularizer's axis and groups for each of its kernels.

    `kernels` maps the argument that takes the regularizer to the shapes of
    the kernels that it regularizes.
    """

    make: object
    input_shape: tuple
    kernels: dict
    neuron_axis: int | tuple = -1
    groups: int = 1
    call: object = field(default=lambda layer, inputs: layer(inputs))


def case(make, *args, input_shape, kernels, **options):
    keywords = {
        name: options.pop(name)
        for name in list(options)
        if name not in Case.__dataclass_fields__ or name == "layer_groups"
    }
    if "layer_groups" in keywords:
        keywords["groups"] = keywords.pop("layer_groups")
    return Case(
        lambda **regularizers: make(*args, **keywords, **regularizers),
        input_shape,
        kernels,
        **options,
    )


WITHIN_CHANNEL = {"neuron_axis": (-2, -1), "groups": 2}

CASES = {
    "Dense": case(
        layers.Dense, 5, input_shape=(4,),
        kernels={"kernel_regularizer": [(4, 5)]},
    ),
    "Conv1D": case(
        layers.Conv1D, 5, 3, input_shape=(6, 2),
        kernels={"kernel_regularizer": [(3, 2, 5)]},
    ),
    "Conv2D": case(
        layers.Conv2D, 5, 2, input_shape=(4, 4, 2),
        kernels={"kernel_regularizer": [(2, 2, 2, 5)]},
    ),
    "Conv3D": case(
        layers.Conv3D, 5, 2, input_shape=(3, 3, 3, 1),
        kernels={"kernel_regularizer": [(2, 2, 2, 1, 5)]},
    ),
    "grouped Conv2D": case(
        layers.Conv2D, 6, 2, input_shape=(4, 4, 4), layer_groups=2, groups=2,
        kernels={"kernel_regularizer": [(2, 2, 2, 6)]},
    ),
    "Conv1DTranspose": case(
        layers.Conv1DTranspose, 4, 3, input_shape=(4, 2), neuron_axis=-2,
        kernels={"kernel_regularizer": [(3, 4, 2)]},
    ),
    "Conv2DTranspose": case(
        layers.Conv2DTranspose, 4, 2, input_shape=(3, 3, 2), neuron_axis=-2,
        kernels={"kernel_regularizer": [(2, 2, 4, 2)]},
    ),
    "Conv3DTranspose": case(
        layers.Conv3DTranspose, 4, 2, input_shape=(2, 2, 2, 1),
        neuron_axis=-2, kernels={"kernel_regularizer": [(2, 2, 2, 4, 1)]},
    ),
    "DepthwiseConv1D": case(
        layers.DepthwiseConv1D, 4, depth_multiplier=3, input_shape=(6, 2),
        kernels={"depthwise_regularizer": [(4, 2, 3)]}, **WITHIN_CHANNEL,
    ),
    "DepthwiseConv2D": case(
        layers.DepthwiseConv2D, 2, depth_multiplier=3, input_shape=(4, 4, 2),
        kernels={"depthwise_regularizer": [(2, 2, 2, 3)]}, **WITHIN_CHANNEL,
    ),
    "SeparableConv1D depthwise": case(
        layers.SeparableConv1D, 5, 4, depth_multiplier=3, input_shape=(6, 2),
        kernels={"depthwise_regularizer": [(4, 2, 3)]}, **WITHIN_CHANNEL,
    ),
    "SeparableConv1D pointwise": case(
        layers.SeparableConv1D, 5, 4, depth_multiplier=3, input_shape=(6, 2),
        kernels={"pointwise_regularizer": [(1, 6, 5)]},
    ),
    "SeparableConv2D depthwise": case(
        layers.SeparableConv2D, 5, 2, depth_multiplier=3,
        input_shape=(4, 4, 2),
        kernels={"depthwise_regularizer": [(2, 2, 2, 3)]}, **WITHIN_CHANNEL,
    ),
    "SeparableConv2D pointwise": case(
        layers.SeparableConv2D, 5, 2, depth_multiplier=3,
        input_shape=(4, 4, 2),
        kernels={"pointwise_regularizer": [(1, 1, 6, 5)]},
    ),
    "Embedding": case(
        layers.Embedding, 6, 4, input_shape=(3,), neuron_axis=0,
        kernels={"embeddings_regularizer": [(6, 4)]},
    ),
    "EinsumDense": case(
        layers.EinsumDense, "abc,cde->abde", (None, 2, 3),
        input_shape=(4, 5), neuron_axis=(1, 2),
        kernels={"kernel_regularizer": [(5, 2, 3)]},
    ),
    "EinsumDense by head": case(
        layers.EinsumDense, "abc,cde->abde", (None, 2, 3),
        input_shape=(4, 5), neuron_axis=(1, 2), groups=2,
        kernels={"kernel_regularizer": [(5, 2, 3)]},
    ),
    "MultiHeadAttention": case(
        layers.MultiHeadAttention, 4, 2, input_shape=(4, 5),
        neuron_axis=(1, 2),
        kernels={"kernel_regularizer": [(5, 4, 2)] * 3 + [(4, 2, 5)]},
        call=lambda layer, inputs: layer(inputs, inputs),
    ),
    "MultiHeadAttention by head": case(
        layers.MultiHeadAttention, 4, 3, input_shape=(4, 8),
        neuron_axis=(1, 2), groups=4,
        kernels={"kernel_regularizer": [(8, 4, 3)] * 3 + [(4, 3, 8)]},
        call=lambda layer, inputs: layer(inputs, inputs),
    ),
    "LSTM": case(
        layers.LSTM, 3, input_shape=(4, 5), groups=4,
        kernels={"kernel_regularizer": [(5, 12)]},
    ),
    "GRU": case(
        layers.GRU, 3, input_shape=(4, 5), groups=3,
        kernels={"kernel_regularizer": [(5, 9)]},
    ),
}  # fmt: skip

STRENGTH = 0.3
FORM = {"power": 1, "half_space": True}


def build(name):
    """The model of a case and the kernels that its regularizer sees."""
    entry = CASES[name]
    regularizer = MHE(
        STRENGTH, neuron_axis=entry.neuron_axis, groups=entry.groups, **FORM
    )
    layer = entry.make(**dict.fromkeys(entry.kernels, regularizer))
    inputs = keras.Input(entry.input_shape)
    model = keras.Model(inputs, entry.call(layer, inputs))
    regularized = [
        variable
        for variable in model.trainable_variables
        if variable.regularizer is regularizer
    ]
    return entry, model, regularized


def axes(entry):
    return {"neuron_axis": entry.neuron_axis, "groups": entry.groups, **FORM}


all_cases = pytest.mark.parametrize("name", CASES)


@all_cases
def test_loss_is_strength_times_the_energy_of_the_kernels(name):
    entry, model, kernels = build(name)
    shapes = [shape for group in entry.kernels.values() for shape in group]
    assert [tuple(kernel.shape) for kernel in kernels] == shapes
    assert len(model.losses) == len(kernels)
    values = [ops.convert_to_numpy(kernel) for kernel in kernels]
    energies = [
        as_float(hyperspherical_energy(kernel, **axes(entry)))
        for kernel in kernels
    ]
    by_loops = [numpy_reference.energy(v, **axes(entry)) for v in values]
    np.testing.assert_allclose(energies, by_loops, rtol=1e-5)
    np.testing.assert_allclose(
        total(model.losses), STRENGTH * sum(by_loops), rtol=1e-5
    )


@all_cases
def test_training_step_follows_the_gradient_of_the_energy(name):
    entry, model, kernels = build(name)
    before = [ops.convert_to_numpy(kernel) for kernel in kernels]
    # The data add nothing to the gradient; jit is XLA's slow part on
    # TensorFlow and `test_training.py` has it, while JAX needs it.
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=lambda y_true, y_pred: 0.0 * ops.mean(y_pred),
        jit_compile=keras.backend.backend() == "jax",
    )
    inputs = np.ones((2, *entry.input_shape), "float32")
    loss = model.train_on_batch(inputs, np.zeros((2, 1)))
    expected = [
        value_and_grad(
            lambda tensor: (
                STRENGTH * hyperspherical_energy(tensor, **axes(entry))
            ),
            kernel,
            mode=FASTEST,
        )
        for kernel in before
    ]
    np.testing.assert_allclose(
        float(loss), sum(one.value for one in expected), rtol=1e-5
    )
    for kernel, old, one in zip(kernels, before, expected, strict=True):
        change = ops.convert_to_numpy(kernel) - old
        by_loops = STRENGTH * numpy_reference.gradient(old, **axes(entry))
        scale = np.abs(by_loops).max()
        assert scale > 1e-3
        # The change is a difference of float32 weights.
        atol = GRADIENT["float32"] * scale + 2e-7
        np.testing.assert_allclose(change, -one.gradient, atol=atol)
        np.testing.assert_allclose(change, -by_loops, atol=atol)

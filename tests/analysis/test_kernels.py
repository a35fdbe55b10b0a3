"""`neuron_kernels`: which weights of a model hold neurons, and their axes."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe.analysis import neuron_kernels
from support import numpy_reference
from support.layer_cases import LAYERS


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    make, input_shape, expected = LAYERS[name]
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

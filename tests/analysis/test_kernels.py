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
    keras.utils.clear_session()  # Counters in the names of layers.
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


def test_model_without_kernels():
    model = keras.Sequential([keras.Input((4,)), layers.ReLU()])
    assert neuron_kernels(model) == []

"""The kernels of a model whose neurons can be compared."""

from collections.abc import Hashable

from keras_mhe._neurons.computed import has_known_weight
from keras_mhe._neurons.kernel import NeuronKernel
from keras_mhe._neurons.places import places
from keras_mhe._neurons.registry import is_known
from keras_mhe._neurons.walk import check_model, has_matrices, named_layers
from keras_mhe._typing import KerasObject


def neuron_kernels(model: KerasObject) -> list[NeuronKernel]:
    """Finds the kernels of a built model's layers, nested models included.

    Covers dense, einsum, embedding and all convolution layers, both kernels
    of the LSTM, GRU, simple and convolutional recurrent layers and of their
    cells, the heads of `keras_mhe.layers`, what `register_neurons` was told,
    and any of these in a wrapper such as `SpectralNormalization` or in a
    layer of layers such as `MultiHeadAttention`. Kernels with fewer than two
    neurons to compare, or with vectors of one entry, or quantized with int4,
    GPTQ or AWQ, are left out, and a shared layer counts once.

    Args:
        model: A built Keras model.

    Returns:
        List of `NeuronKernel` in the order of `model.layers`.

    Raises:
        ValueError: If it is no model of Keras, or not built, so has no
            kernels yet, or if what `register_neurons` was told does not fit a
            layer.

    Example:
        >>> import keras
        >>> from keras_mhe.analysis import neuron_kernels
        >>> model = keras.Sequential(
        ...     [keras.Input((4,)), keras.layers.Dense(3, name="hidden")]
        ... )
        >>> [(k.name, k.num_neurons, k.dim) for k in neuron_kernels(model)]
        [('hidden', 3, 4)]
    """
    check_model(model)
    if not model.built:
        raise ValueError(
            "`model` must be built. Received: a model without weights. Call "
            "it on data, or give it an Input."
        )
    found: dict[Hashable, NeuronKernel] = {}
    for place in places(model):
        kernel = place.kernel
        if kernel is not None and kernel.num_neurons > 1 and kernel.dim > 1:
            found.setdefault(place.key, kernel)
    return list(found.values())


def layers_not_known(model: KerasObject) -> list[str]:
    """Names of the layers with weights that may be neurons, or packed ones."""
    named = [(model.name, model), *named_layers(model)]
    return [
        name
        for name, layer in named
        if (has_matrices(layer) and not is_known(layer))
        or not has_known_weight(layer)
    ]

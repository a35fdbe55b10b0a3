"""Which kernels make a model's outputs."""

from collections.abc import Iterator

import keras

from keras_mhe._typing import KerasObject
from keras_mhe.analysis._kernels import kernels_of_layer
from keras_mhe.analysis._layers import is_known, named_layers


def output_kernels(model: KerasObject) -> set[int]:
    """Finds the last kernels on the way to each output of a model.

    Follows the graph of a functional or sequential model back from its
    outputs, over activations and whatever else has no kernel, to the first
    layer that has one; a layer of layers, or a model without a graph, counts
    by its last kernel.

    Args:
        model: A Keras model.

    Returns:
        The `id` of each such variable, and of each such layer that is not
        built.
    """
    return set(_last_of(model))


def _last_of(layer: KerasObject) -> Iterator[int]:
    if isinstance(layer, keras.Sequential):
        for inner in reversed(layer.layers):
            found = list(_last_of(inner))
            if found:
                yield from found
                return
    elif _has_graph(layer):
        seen: set[int] = set()
        for tensor in keras.tree.flatten(layer.outputs):
            yield from _before(tensor, seen)
    else:
        yield from _last_inside(layer)


def _has_graph(layer: KerasObject) -> bool:
    return isinstance(layer, keras.Model) and bool(
        getattr(layer, "outputs", None)
    )


def _before(tensor: KerasObject, seen: set[int]) -> Iterator[int]:
    """Last kernels in the operation that made a symbolic tensor, or before.

    Keras has no public name for the operation behind a tensor.
    """
    operation, node_index, _ = tensor._keras_history
    if id(operation) in seen:
        return
    seen.add(id(operation))
    found = list(_last_of(operation)) if _is_layer(operation) else []
    if found:
        yield from found
        return
    for earlier in operation._inbound_nodes[node_index].input_tensors:
        yield from _before(earlier, seen)


def _is_layer(operation: KerasObject) -> bool:
    return isinstance(operation, keras.Layer)


def _last_inside(layer: KerasObject) -> Iterator[int]:
    while isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    if _has_graph(layer) or isinstance(layer, keras.Sequential):
        yield from _last_of(layer)
    elif is_known(layer):
        if not layer.built:
            yield id(layer)
        else:
            *_, last = kernels_of_layer(layer.name, layer)
            yield id(last.variable)
    else:
        inner = [found for _, found in named_layers(layer) if is_known(found)]
        if inner:
            yield from _last_inside(inner[-1])

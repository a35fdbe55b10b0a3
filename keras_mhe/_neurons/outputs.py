"""Which kernels make a model's outputs."""

from collections.abc import Iterator

import keras

from keras_mhe._neurons.kernels import kernels_of_layer
from keras_mhe._neurons.walk import is_known, named_layers
from keras_mhe._typing import KerasObject


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
    elif has_graph(layer):
        seen: set[tuple[int, int]] = set()
        for tensor in keras.tree.flatten(layer.outputs):
            yield from _before(tensor, seen)
    else:
        yield from _last_inside(layer)


def has_graph(layer: KerasObject) -> bool:
    """Whether it is a model whose outputs tell what made them."""
    if isinstance(layer, keras.Sequential):
        return True
    outputs = getattr(layer, "outputs", None)
    return (
        isinstance(layer, keras.Model)
        and bool(outputs)
        # A subclassed model may call anything its outputs.
        and all(
            hasattr(tensor, "_keras_history")
            for tensor in keras.tree.flatten(outputs)
        )
    )


def _before(tensor: KerasObject, seen: set[tuple[int, int]]) -> Iterator[int]:
    """Last kernels in the operation that made a symbolic tensor, or before.

    Keras has no public name for the operation behind a tensor.
    """
    operation, node_index, _ = tensor._keras_history
    if (id(operation), node_index) in seen:
        return
    seen.add((id(operation), node_index))
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
    if has_graph(layer):
        yield from _last_of(layer)
    elif isinstance(layer, keras.layers.Bidirectional):
        yield from _last_inside(layer.forward_layer)
        yield from _last_inside(layer.backward_layer)
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

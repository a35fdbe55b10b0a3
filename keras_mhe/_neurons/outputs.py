"""Which kernels make a model's outputs."""

from collections.abc import Hashable, Iterator

import keras

from keras_mhe._neurons.places import places_of
from keras_mhe._neurons.registry import is_known
from keras_mhe._neurons.walk import named_layers, unwrapped
from keras_mhe._typing import KerasObject


def output_kernels(model: KerasObject) -> set[Hashable]:
    """Finds the last kernels on the way to each output of a model.

    Follows the graph of a functional or sequential model back from its
    outputs, over activations and whatever else has no kernel, to the first
    layer that has one; a layer of layers, or a model without a graph, counts
    by its last kernel, a recurrent layer by both of its kernels, which act at
    once.

    Args:
        model: A Keras model.

    Returns:
        `Place.key` of each: the `id` of the variable if it is built.
    """
    return set(_last_of(model))


def _last_of(layer: KerasObject) -> Iterator[Hashable]:
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


def _before(
    tensor: KerasObject, seen: set[tuple[int, int]]
) -> Iterator[Hashable]:
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


def _last_inside(layer: KerasObject) -> Iterator[Hashable]:
    layer = unwrapped(layer)
    inner = [found for _, found in named_layers(layer) if is_known(found)]
    if has_graph(layer):
        yield from _last_of(layer)
    elif isinstance(layer, keras.layers.Bidirectional):
        yield from _last_inside(layer.forward_layer)
        yield from _last_inside(layer.backward_layer)
    elif inner:
        yield from _last_inside(inner[-1])
    elif is_known(layer):
        keys = [
            place.key
            for place in places_of(layer.name, layer)
            if place.axes is not None or not layer.built
        ]
        # As Keras knows what is recurrent.
        yield from keys if hasattr(layer, "state_size") else keys[-1:]

"""The layers of a model, however deep, by name."""

import difflib
import re
from collections.abc import Iterator, Sequence

import keras

from keras_mhe._neurons.registry import is_known, parts_with_neurons
from keras_mhe._typing import KerasObject
from keras_mhe._validation import check_keras_3, check_names

#: Names in a message.
_SHOWN = 8


def named_layers(
    model: KerasObject,
) -> Iterator[tuple[str, KerasObject]]:
    """Yields each layer of a model, and those inside it after it.

    Args:
        model: A Keras model, or a layer that holds layers.

    Yields:
        Names, after those of the models and layers around and joined by
        slashes, and layers. A wrapper without matrices gives its name to what
        it wraps. Where layers have the same name, the second one's ends in
        `#2`.
    """
    by_name: dict[str, list[int]] = {}
    for name, layer in _walk(model, ""):
        same = by_name.setdefault(name, [])
        if id(layer) not in same:
            same.append(id(layer))
        number = same.index(id(layer)) + 1
        yield (name if number == 1 else f"{name}#{number}"), layer


def _walk(model: KerasObject, prefix: str) -> Iterator[tuple[str, KerasObject]]:
    for layer in _sublayers(model):
        name = f"{prefix}{layer.name}"
        layer = unwrapped(layer)
        yield name, layer
        yield from _walk(layer, f"{name}/")


def unwrapped(layer: KerasObject) -> KerasObject:
    """Returns what wrappers hold that have no matrices of their own."""
    while isinstance(layer, keras.layers.Wrapper):
        if is_known(layer) or has_matrices(layer):
            break
        layer = layer.layer
    return layer


def models_inside(model: KerasObject) -> Iterator[KerasObject]:
    """Yields a model and the models in it."""
    yield model
    for _, layer in named_layers(model):
        if isinstance(layer, keras.Model):
            yield layer


def belongs(name: str, chosen: str) -> bool:
    """Whether a layer or kernel is meant by a name, or is inside of it.

    Args:
        name: As from `named_layers`.
        chosen: A name of a layer or of what holds it, with `*` for any text,
            as in `"block*_conv*"`.
    """
    pattern = re.escape(chosen).replace(r"\*", ".*")
    return re.fullmatch(f"{pattern}(/.*)?", name) is not None


def chosen_names(
    argument: str, chosen: Sequence[str] | None, names: Sequence[str]
) -> set[str]:
    """Returns those of the names that belong to one of the chosen.

    Args:
        argument: Name of the argument that holds the chosen.
        chosen: Sequence of names; `None` for all.
        names: Of kernels.

    Raises:
        ValueError: If `chosen` is no sequence of names, or one of them
            belongs to none.
    """
    checked = check_names(argument, chosen)
    if checked is None:
        return set(names)
    for one in checked:
        if not any(belongs(name, one) for name in names):
            raise ValueError(
                f"`{argument}` must name layers with weights, or what holds "
                f"some; there are {_some_of(names, one)}. Received: {one!r}."
            )
    return {
        name for name in names if any(belongs(name, one) for one in checked)
    }


def _sublayers(layer: KerasObject) -> list[KerasObject]:
    """Layers inside, without those whose weights are known as the layer's."""
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    # What `Model.layers` calls; a layer has no public name for it.
    found = layer._flatten_layers(include_self=False, recursive=False)
    parts = parts_with_neurons(layer)
    return [inner for inner in found if not any(inner is p for p in parts)]


def _some_of(names: Sequence[str], wanted: str) -> str:
    """The names, or of many the nearest and how many more there are."""
    shown = list(names)
    if len(shown) > _SHOWN:
        near = difflib.get_close_matches(wanted, names, _SHOWN, 0.4)
        shown = near or shown[:_SHOWN]
    more = len(names) - len(shown)
    text = ", ".join(repr(name) for name in shown)
    return f"{text} and {more} more" if more else text


def check_model(model: KerasObject) -> None:
    """Raises for what is no model of Keras 3."""
    check_keras_3("model", model)
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a Keras model. Received: {model!r} of type "
            f"{type(model).__name__}."
        )


def own_weights(layer: KerasObject) -> list[KerasObject]:
    """Trainable weights of a layer that are not those of a layer inside."""
    inner = {
        id(variable)
        for _, other in named_layers(layer)
        for variable in other.variables
    }
    return [v for v in layer.trainable_variables if id(v) not in inner]


def has_matrices(layer: KerasObject) -> bool:
    """Whether such weights could hold neurons."""
    return any(len(variable.shape) > 1 for variable in own_weights(layer))

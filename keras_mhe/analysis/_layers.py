"""The layers of a model, however deep, by name."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

import keras

from keras_mhe import _validation
from keras_mhe._kernel_axes import LAYERS_WITH_KERNELS
from keras_mhe._typing import KerasObject
from keras_mhe.layers import AngularMargin


def named_layers(
    model: KerasObject, prefix: str = ""
) -> Iterator[tuple[str, KerasObject]]:
    """Yields each layer of a model, and those inside it after it.

    Args:
        model: A Keras model, or a layer that holds layers.
        prefix: Of the names.

    Yields:
        Names, after those of the models and layers around and joined by
        slashes, and layers. A wrapper gives its name to what it wraps.
    """
    for layer in _sublayers(model):
        name = f"{prefix}{layer.name}"
        while isinstance(layer, keras.layers.Wrapper):
            layer = layer.layer
        yield name, layer
        # The cell of an LSTM belongs to the layer.
        if not is_known(layer):
            yield from named_layers(layer, f"{name}/")


def models_inside(model: KerasObject) -> Iterator[KerasObject]:
    """Yields a model and the models in it."""
    yield model
    for _, layer in named_layers(model):
        if isinstance(layer, keras.Model):
            yield layer


def is_known(layer: KerasObject) -> bool:
    """Whether it is a kind of layer whose kernels are known."""
    return isinstance(layer, (*LAYERS_WITH_KERNELS, AngularMargin))


def belongs(name: str, chosen: str) -> bool:
    """Whether a layer or kernel is meant by a name, or is inside of it.

    Args:
        name: As from `named_layers`.
        chosen: A name of a layer or of what holds it, with `*` for any text,
            as in `"block*_conv*"`.
    """
    return fnmatchcase(name, chosen) or fnmatchcase(name, f"{chosen}/*")


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
    checked = _validation.names(argument, chosen)
    if checked is None:
        return set(names)
    for one in checked:
        if not any(belongs(name, one) for name in names):
            known = ", ".join(repr(name) for name in names)
            raise ValueError(
                f"`{argument}` must name layers with a kernel, or what holds "
                f"some; there are {known}. Received: {one!r}."
            )
    return {
        name for name in names if any(belongs(name, one) for one in checked)
    }


def _sublayers(layer: KerasObject) -> list[KerasObject]:
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    # What `Model.layers` calls; a layer has no public name for it.
    found: list[KerasObject] = layer._flatten_layers(
        include_self=False, recursive=False
    )
    return found

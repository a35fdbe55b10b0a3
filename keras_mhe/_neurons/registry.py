"""Which weights of a class of layers hold neurons, and on which axes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import keras

from keras_mhe._typing import KerasObject
from keras_mhe._validation import check_axes, check_integer


@dataclass(frozen=True)
class KernelAxes:
    """A weight of a layer that holds neurons.

    Attributes:
        path: Attribute of the layer, or of a part of it as `"cell.kernel"`.
        neuron_axis: Axis or axes that count the neurons.
        groups: Blocks of neurons that do not meet each other.
        regularizer_path: Attribute that holds the weight's regularizer, as
            `path`; `None` if the layer has none.
    """

    path: str
    neuron_axis: int | tuple[int, ...] = -1
    groups: int = 1
    regularizer_path: str | None = None

    def variable(self, layer: KerasObject) -> KerasObject:
        """Returns the Keras variable."""
        return attrgetter(self.path)(layer)

    def regularizer(self, layer: KerasObject) -> KerasObject:
        """Returns what the layer holds and saves; `None` if it cannot."""
        path = self.regularizer_path
        return None if path is None else attrgetter(path)(layer)

    def set_regularizer(
        self, layer: KerasObject, regularizer: KerasObject
    ) -> None:
        """Sets what the layer holds and saves, if it can."""
        if self.regularizer_path is not None:
            *parts, name = self.regularizer_path.split(".")
            setattr(_part(layer, parts), name, regularizer)


@dataclass(frozen=True)
class _Entry:
    """What `register_neurons` was told of a weight."""

    neuron_axis: Any
    groups: Any
    regularizer: str | None


#: By class, and in it by weight.
_REGISTERED: dict[type, dict[str, _Entry]] = {}


def register_neurons(
    layer_class: type,
    weight: str,
    *,
    neuron_axis: int | Sequence[int] | Callable[..., Any] | None = -1,
    groups: int | Callable[..., int] = 1,
    regularizer: str | None = None,
) -> None:
    """Tells that a weight of a class of layers holds neurons.

    `regularize`, `audit`, `EnergyMonitor`, `neuron_kernels` and
    `SpectralNormalization` know the weight from then on, in layers of this
    class and its subclasses. Call it once for each weight, below the class.
    A second call for the same weight replaces the first, and one for a
    subclass goes before that of its base class.

    Args:
        layer_class: Class of Keras layers, one's own or of any library.
        weight: Attribute that is the weight, with dots for a weight of a part
            (`"cell.kernel"`). Layers where it is `None` have no such weight.
        neuron_axis: Int or sequence of ints, the axes that count the neurons;
            the others hold each neuron's vector. `None` if the weight holds
            no neurons. Or a function that returns one of these for a layer.
            Defaults to `-1`.
        groups: Int >= 1, equal blocks of neurons, one after the other, which
            are compared within a block; or a function that returns it for a
            layer. Defaults to `1`.
        regularizer: Attribute that holds the weight's regularizer, given to
            `add_weight` in `build` and saved by `get_config`. `None` if the
            layer has none: then `regularize` acts on the weight of a built
            layer and is not saved. Defaults to `None`.

    Raises:
        ValueError: If an argument is outside its range; when a model is
            looked at, if one does not fit its layer.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> class Prototypes(keras.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.points = self.add_weight(shape=(5, input_shape[-1]))
        ...
        ...     def call(self, inputs):
        ...         return inputs @ keras.ops.transpose(self.points)
        >>> keras_mhe.register_neurons(Prototypes, "points", neuron_axis=0)
        >>> layer = Prototypes(name="prototypes")
        >>> model = keras.Sequential([keras.Input((3,)), layer])
        >>> row = keras_mhe.regularize(model, keras_mhe.MHE(1.0))[0]
        >>> row.layer, row.regularizer, row.saved
        ('prototypes', 'MHE(1)', False)
    """
    is_class = isinstance(layer_class, type)
    if not is_class or not issubclass(layer_class, keras.Layer):
        raise ValueError(
            "`layer_class` must be a class of Keras layers. "
            f"Received: layer_class={layer_class!r}."
        )
    for name, value in (("weight", weight), ("regularizer", regularizer)):
        is_optional = name == "regularizer" and value is None
        if not is_optional and not isinstance(value, str):
            raise ValueError(
                f"`{name}` must be the name of an attribute of the layer. "
                f"Received: {name}={value!r}."
            )
    if not callable(neuron_axis):
        _axes(neuron_axis)
    if not callable(groups):
        _groups(groups)
    entries = _REGISTERED.setdefault(layer_class, {})
    entries[weight] = _Entry(neuron_axis, groups, regularizer)


def is_known(layer: KerasObject) -> bool:
    """Whether it is a kind of layer whose neurons are known."""
    return bool(_entries(layer))


def kernel_axes(layer: KerasObject) -> list[KernelAxes]:
    """Returns the weights of a layer that hold neurons; none if not known.

    Raises:
        AttributeError: If the layer is not built, and a function of it needs
            it to be.
    """
    found = []
    for path, entry in _entries(layer).items():
        neuron_axis = _axes(_of_layer(entry.neuron_axis, layer))
        if neuron_axis is not None:
            groups = _groups(_of_layer(entry.groups, layer))
            found.append(
                KernelAxes(path, neuron_axis, groups, entry.regularizer)
            )
    return found


def parts_with_neurons(layer: KerasObject) -> list[KerasObject]:
    """Returns the parts of a layer that hold weights named with a dot."""
    paths = [path.split(".")[:-1] for path in _entries(layer)]
    return [_part(layer, parts) for parts in paths if parts]


def _part(layer: KerasObject, names: list[str]) -> KerasObject:
    for name in names:
        layer = getattr(layer, name, None)
    return layer


def _entries(layer: KerasObject) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for kind in reversed(type(layer).__mro__):
        entries |= _REGISTERED.get(kind, {})
    return entries


def _of_layer(value: Any, layer: KerasObject) -> Any:
    return value(layer) if callable(value) else value


def _axes(value: Any) -> int | tuple[int, ...] | None:
    return None if value is None else check_axes(value)


def _groups(value: Any) -> int:
    return check_integer("groups", value, at_least=1)

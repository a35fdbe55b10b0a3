"""One regularizer for many kernels: the right axes for each."""

from collections.abc import Iterable
from typing import Any

import keras

from keras_mhe._neurons.computed import factors, has_known_weight
from keras_mhe._neurons.places import Place
from keras_mhe._neurons.registry import KernelAxes
from keras_mhe._typing import KerasObject
from keras_mhe.regularizers import AddedRegularizer, RegularizerSum
from keras_mhe.regularizers._neurons import NeuronRegularizer
from keras_mhe.regularizers._scheduled import unscheduled
from keras_mhe.regularizers._terms import neuron_terms_of, terms_of


def for_kernel(
    regularizer: KerasObject, axes: KernelAxes, dim: int | None
) -> KerasObject:
    """Returns a regularizer with the axes and groups of a kernel.

    A gap that neurons of so few entries do not have becomes the energy.

    Args:
        regularizer: A Keras regularizer or sum. Terms that know axes and
            groups get those of the kernel; others, such as
            `keras.regularizers.L2`, are kept.
        axes: The kernel's.
        dim: Entries of its neurons; `None` if it is not built.
    """
    terms = [_with_axes(term, axes, dim) for term in terms_of(regularizer)]
    return terms[0] if len(terms) == 1 else RegularizerSum(terms)


def weights_of(place: Place) -> list[KerasObject]:
    """Returns the variables that the regularizer of a kernel stands on.

    The kernel, and with LoRA its factors, to which Keras gives the kernel's.
    """
    kernel = None if place.kernel is None else place.kernel.variable
    found = [kernel] if isinstance(kernel, keras.Variable) else []
    return found + (factors(place.layer) if place.has_lora else [])


def present(place: Place) -> KerasObject:
    """Returns what acts on a kernel now, or will when it is built."""
    weights = weights_of(place)
    if not weights:
        return held(place)
    return unscheduled(weights[-1].regularizer)


def held(place: Place) -> KerasObject:
    """Returns what the layer holds for a kernel, and saves."""
    return None if place.axes is None else place.axes.regularizer(place.layer)


def hold(place: Place, regularizer: KerasObject) -> None:
    """Sets what the layer holds for a kernel, and saves."""
    assert place.axes is not None
    place.axes.set_regularizer(place.layer, regularizer)


def put(place: Place, regularizer: KerasObject) -> None:
    """Sets the layer's, which is saved, and the variables', which act."""
    hold(place, regularizer)
    for variable in weights_of(place):
        variable.regularizer = regularizer


def idle_terms(place: Place) -> list[KerasObject]:
    """Returns terms that LoRA leaves without an effect."""
    regularizer = present(place)
    acts = (
        isinstance(regularizer, AddedRegularizer)
        and regularizer.layer is place.layer
        and has_known_weight(place.layer)
    )
    if not place.has_lora or acts:
        return []
    return list(neuron_terms_of(regularizer))


def describe(regularizer: KerasObject) -> str:
    """Returns classes and what tells them apart: `"MHE(1, half) + L2"`."""
    return names(terms_of(regularizer))


def names(terms: Iterable[KerasObject]) -> str:
    """Describes terms, see `describe`."""
    return " + ".join(_name(term) for term in terms)


def lack_a_gap(regularizer: KerasObject, dim: int) -> list[KerasObject]:
    """Returns the terms whose gap neurons of `dim` entries do not have."""
    return [
        term
        for term in terms_of(regularizer)
        if getattr(term, "units", None) == "gap" and not term.has_gap(dim)
    ]


def of_last_axis(
    regularizer: KerasObject, axes: KernelAxes
) -> list[KerasObject]:
    """Returns published terms, if neurons are not on the last axis alone."""
    if (axes.neuron_axis, axes.groups) == (-1, 1):
        return []
    return [
        term
        for term in neuron_terms_of(regularizer)
        if "neuron_axis" not in term.get_config()
    ]


def _with_axes(
    term: KerasObject, axes: KernelAxes, dim: int | None
) -> KerasObject:
    config = _config_of(term)
    if "neuron_axis" not in config:
        return term
    config |= {"neuron_axis": axes.neuron_axis, "groups": axes.groups}
    if dim is not None and lack_a_gap(term, dim):
        config["units"] = "energy"
    return type(term).from_config(config)


def _config_of(term: KerasObject) -> dict[str, Any]:
    if not isinstance(term, keras.regularizers.Regularizer):
        return {}
    try:
        return dict(term.get_config())
    except NotImplementedError:  # What Keras' own base class does.
        return {}


def _name(term: KerasObject) -> str:
    name: str = getattr(term, "__name__", type(term).__name__)
    if not isinstance(term, NeuronRegularizer):
        return name
    config = term.get_config()
    form = getattr(term, "form", None)
    if form is not None:  # Published terms have the names of the program.
        config |= form.get_config()
    words = [f"{term.strength:g}"]
    if config.get("power", 2) != 2:
        words.append(f"power {config['power']:g}")
    if config.get("distance") == "angular":
        words.append("angular")
    if config.get("half_space"):
        words.append("half")
    if config.get("units") == "gap":
        words.append("gap")
    return f"{name}({', '.join(words)})"

"""One regularizer for many kernels: the right axes for each."""

from collections.abc import Iterable
from typing import Any

import keras

from keras_mhe._kernel_axes import KernelAxes
from keras_mhe._typing import KerasObject
from keras_mhe.regularizers import RegularizerSum
from keras_mhe.regularizers._neurons import NeuronRegularizer
from keras_mhe.regularizers._terms import terms_of


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
        if getattr(term, "units", None) == "gap" and term.power >= dim - 1
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
    words = [f"{config['strength']:g}"] if "strength" in config else []
    if config.get("power", 2) != 2:
        words.append(f"power {config['power']:g}")
    if config.get("distance") == "angular":
        words.append("angular")
    if config.get("half_space"):
        words.append("half")
    if config.get("units") == "gap":
        words.append("gap")
    return f"{name}({', '.join(words)})" if words else name

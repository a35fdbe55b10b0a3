"""Regularizers on the kernels of a model that exists already."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_mhe._compilation import compile_anew
from keras_mhe._neurons.outputs import has_graph, output_kernels
from keras_mhe._neurons.places import Place, places
from keras_mhe._neurons.walk import (
    check_model,
    chosen_names,
    models_inside,
)
from keras_mhe._typing import KerasObject
from keras_mhe.models._adaptation import for_kernel, held, present, put
from keras_mhe.models._outcomes import Outcome, notes_on, reasons, report
from keras_mhe.models._rows import RegularizedKernels
from keras_mhe.regularizers import AddedRegularizer


def regularize(
    model: KerasObject,
    regularizer: Any,
    *,
    layers: Sequence[str] | None = None,
    skip: Sequence[str] | None = None,
    output_layer: Any = None,
) -> RegularizedKernels:
    """Puts a regularizer on the kernels of an existing model.

    Each kernel that `analysis.neuron_kernels` finds gets its own copy with the
    axes and groups that its layer needs, beside the regularizer that it has
    already. The next training step counts it, also of a model that is
    compiled and was trained; where the model is part of another one that was
    trained, call `regularize` on the outer one (with `layers=`), which has
    its own compiled steps. Called again, it replaces what it put there. An
    error leaves the model as it was.

    In a layer with LoRA, MHE and its relatives act on the weight that it
    computes with, `W + scale * A B`, and other regularizers on both factors,
    as Keras has it. It does not matter whether `enable_lora` or `quantize`
    with int8 comes before or after. A loaded model needs `regularize` again.

    Args:
        model: A Keras model of any kind. Layers that are not built yet get
            the regularizer for when they are, except those whose groups or
            inner layers are known only then, or that hold no regularizer.
        regularizer: A Keras regularizer, or a sum. Those of this library get
            the right `neuron_axis` and `groups`, whatever theirs are; others
            are put on as they are, and so are published terms, whose neurons
            are on the last axis: the note says where those of the layer are
            not. Where neurons have `power + 1` entries or
            fewer, `MHE(units="gap")` becomes `MHE(units="energy")`, and the
            note says so.
        layers: `None` for all, or a sequence of names of layers or of what
            holds them, with `*` for any text, as in `"block*_conv*"`.
            Defaults to `None`.
        skip: `None` for none, or names of what to leave alone. Defaults to
            `None`.
        output_layer: A Keras regularizer for the kernels that make the
            outputs, in place of `regularizer` (published programs take ten
            times the strength there): the last ones on the way to each
            output, of a recurrent layer both; in a subclassed model the last
            of `model.layers`. `None` for the same. Defaults to `None`.

    Returns:
        A `RegularizedKernels`: a sequence of `RegularizedKernel`, one for
        each kernel and each other layer with weights.

    Raises:
        ValueError: If there is no kernel to put it on, if a name belongs to
            none, or for what is no regularizer.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> model = keras.Sequential([
        ...     keras.Input((8,)),
        ...     keras.layers.Dense(6, name="hidden"),
        ...     keras.layers.Dense(3, name="classes"),
        ... ])
        >>> done = keras_mhe.regularize(
        ...     model,
        ...     keras_mhe.MHE(1.0, half_space=True),
        ...     output_layer=keras_mhe.MHE(10.0),
        ... )
        >>> [(row.layer, row.regularizer) for row in done]
        [('hidden', 'MHE(1, half)'), ('classes', 'MHE(10)')]
        >>> len(model.losses)
        2
    """
    hidden = _checked("regularizer", regularizer)
    last = hidden
    if output_layer is not None:
        last = _checked("output_layer", output_layer)
    check_model(model)
    found = list(places(model))
    chosen = _chosen(found, layers, skip)
    outputs = set() if output_layer is None else output_kernels(model)
    # All copies before the first is put on, so that an error changes nothing.
    copies: list[tuple[Place, AddedRegularizer]] = []
    outcomes = []
    for place in found:
        note = place.reason or ("" if place.name in chosen else "left out")
        is_done = not note
        if is_done:
            is_last = place.key in outputs
            wanted = last if is_last else hidden
            copy = _copy(place, wanted)
            copies.append((place, copy))
            notes = notes_on(place, copy, wanted)
            if is_last and not has_graph(model):
                notes.insert(0, "last in model.layers")
            note = "; ".join(notes)
        outcomes.append(Outcome(place, is_done, note))
    if not copies:
        raise ValueError(
            "`model` must have a kernel that can get the regularizer. "
            f"Received: model {model.name!r} with {reasons(outcomes)}."
        )
    for place, copy in copies:
        put(place, copy)
    _compile_anew(model)
    return report(model, outcomes, is_added=True)


def unregularize(
    model: KerasObject, *, layers: Sequence[str] | None = None
) -> RegularizedKernels:
    """Takes away what `regularize` put on a model, also on a loaded one.

    Regularizers that the kernels had before are there as before.

    Args:
        model: A Keras model.
        layers: As for `regularize`. Defaults to `None`.

    Returns:
        A `RegularizedKernels`, `done` where something was taken away.

    Raises:
        ValueError: If a name belongs to none.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> model = keras.Sequential([
        ...     keras.Input((8,)),
        ...     keras.layers.Dense(6, kernel_regularizer="l2"),
        ... ])
        >>> keras_mhe.regularize(model, keras_mhe.MHE(1.0))[0].regularizer
        'L2 + MHE(1)'
        >>> keras_mhe.unregularize(model)[0].regularizer
        'L2'
    """
    check_model(model)
    found = list(places(model))
    chosen = _chosen(found, layers, None)
    outcomes = []
    for place in found:
        added = held(place) or present(place)
        is_added = isinstance(added, AddedRegularizer)
        is_done = place.name in chosen and is_added
        if is_done:
            put(place, added.before)
        outcomes.append(Outcome(place, is_done, place.reason))
    _compile_anew(model)
    return report(model, outcomes, is_added=False)


def _checked(name: str, regularizer: Any) -> Any:
    try:
        checked = keras.regularizers.get(regularizer)
    except ValueError:
        checked = None
    if checked is None:
        raise ValueError(
            f"`{name}` must be a Keras regularizer. "
            f"Received: {name}={regularizer!r}."
        )
    return checked


def _chosen(
    found: Sequence[Place],
    layers: Sequence[str] | None,
    skip: Sequence[str] | None,
) -> set[str]:
    names = [place.name for place in found]
    chosen = chosen_names("layers", layers, names)
    return chosen - (chosen_names("skip", skip, names) if skip else set())


def _copy(place: Place, regularizer: Any) -> AddedRegularizer:
    """A copy for a kernel, beside what was there before `regularize`."""
    assert place.axes is not None
    before = present(place)
    if isinstance(before, AddedRegularizer):
        before = before.before
    dim = None if place.kernel is None else place.kernel.dim
    added = for_kernel(regularizer, place.axes, dim)
    return AddedRegularizer(before, added, place.layer)


def _compile_anew(model: KerasObject) -> None:
    for inner in models_inside(model):
        compile_anew(inner)

"""What was done at each kernel of a model, and what there is to know of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_mhe._neurons.places import Place
from keras_mhe._typing import KerasObject
from keras_mhe.models._adaptation import (
    describe,
    idle_terms,
    lack_a_gap,
    names,
    of_last_axis,
    present,
    weights_of,
)
from keras_mhe.models._rows import RegularizedKernel, RegularizedKernels
from keras_mhe.models._saving import are_saved
from keras_mhe.regularizers import AddedRegularizer
from keras_mhe.regularizers._terms import neuron_terms_of

#: All pairs of more neurons take seconds in each step.
_MANY_NEURONS = 10_000


@dataclass(frozen=True)
class Outcome:
    """What was done at a place."""

    place: Place
    is_done: bool
    note: str


def notes_on(
    place: Place, regularizer: AddedRegularizer, wanted: Any
) -> list[str]:
    """What there is to know where a regularizer is put."""
    notes, before = [], present(place)
    if isinstance(before, AddedRegularizer):
        notes.append(f"replaced {describe(before.added)}")
    neuron_terms = neuron_terms_of(regularizer)
    if place.kernel is None:
        notes.append("not built yet")
    elif not any(weight.trainable for weight in weights_of(place)):
        notes.append("frozen: without effect until it is trainable")
    elif place.has_lora:
        where = "on W + scale * A B" if neuron_terms else "on both factors"
        notes.append(f"LoRA: {where}")
    if place.kernel is not None and lack_a_gap(wanted, place.kernel.dim):
        entries = f"neurons of {place.kernel.dim} entries"
        notes.append(f"energy: {entries} have no gap at this power")
    assert place.axes is not None
    fixed = of_last_axis(regularizer, place.axes)
    if fixed:
        notes.append(f"{names(fixed)} takes the last axis for the neurons")
    if neuron_terms and place.num_neurons > _MANY_NEURONS:
        pairs = f"all pairs of {place.num_neurons:,} neurons"
        notes.append(f"slow: {pairs}; see `anchors`")
    return notes


def reasons(outcomes: Sequence[Outcome]) -> str:
    """Why nothing was done, of the first few places."""
    named = [f"{outcome.place.name}: {outcome.note}" for outcome in outcomes]
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return (", ".join(named[:5]) + more) if named else "no layers with weights"


def report(
    model: KerasObject, outcomes: Sequence[Outcome], is_added: bool
) -> RegularizedKernels:
    """Returns the table of what was done, or taken away."""
    added = [o.place for o in outcomes if o.is_done and is_added]
    saved = dict(zip(map(id, added), are_saved(model, added), strict=True))
    rows = []
    for outcome in outcomes:
        place, kernel = outcome.place, outcome.place.kernel
        notes = [outcome.note]
        idle = idle_terms(place)
        if idle:
            notes.append(f"LoRA: {names(idle)} without effect")
        rows.append(
            RegularizedKernel(
                layer=place.name,
                num_neurons=None if kernel is None else kernel.num_neurons,
                groups=None if kernel is None else kernel.groups,
                dim=None if kernel is None else kernel.dim,
                done=outcome.is_done,
                regularizer=describe(present(place)),
                saved=saved.get(id(place)),
                note="; ".join(filter(None, notes)),
            )
        )
    return RegularizedKernels(rows)

"""With which energy each kernel of a model is measured."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_mhe._neurons.computed import factors
from keras_mhe._neurons.kernel import NeuronKernel
from keras_mhe._neurons.outputs import output_kernels
from keras_mhe._typing import KerasObject
from keras_mhe.layers import AngularMargin
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.regularizers._terms import terms_of


def given_energy(
    power: float | None, distance: str | None, half_space: bool | None
) -> dict[str, Any]:
    """Returns those arguments of an energy that are not `None`, checked."""
    given: dict[str, Any] = {
        "power": power,
        "distance": distance,
        "half_space": half_space,
    }
    given = {name: v for name, v in given.items() if v is not None}
    EnergyForm(**given)
    return given


def with_forms(
    model: KerasObject,
    kernels: Sequence[NeuronKernel],
    given: Mapping[str, Any],
) -> list[tuple[NeuronKernel, EnergyForm]]:
    """Finds the energy of each kernel: what is given, and the rest its own.

    Without an energy of its own it is that of the paper: in half space, for
    the kernels that make the model's outputs in full space, of power 2.

    Args:
        model: A built Keras model.
        kernels: Kernels of it.
        given: Arguments of the energy that hold for all of them.
    """
    outputs = output_kernels(model)
    found = []
    for kernel in kernels:
        own = next(_own_forms(kernel), None)
        if own is None:
            own = EnergyForm(half_space=id(kernel.variable) not in outputs)
        found.append((kernel, dataclasses.replace(own, **given)))
    return found


def _own_forms(kernel: NeuronKernel) -> Iterator[EnergyForm]:
    for term in _terms_on(kernel):
        # Of the relatives of MHE most have none.
        form = getattr(term, "form", None)
        if isinstance(form, EnergyForm):
            yield EnergyForm(form.power, form.distance, form.half_space)


def _terms_on(kernel: NeuronKernel) -> Iterator[KerasObject]:
    """Yields what acts on a kernel, and for LoRA on its factors."""
    for weight in (kernel.variable, *factors(kernel.layer)):
        yield from terms_of(getattr(weight, "regularizer", None))
        yield getattr(weight, "constraint", None)
    if isinstance(kernel.layer, AngularMargin):
        yield from terms_of(kernel.layer.energy)


def words_of(form: EnergyForm) -> str:
    """Says in short which energy it is: `"power 2, half"`."""
    distance = "" if form.distance == "euclidean" else f", {form.distance}"
    space = "half" if form.half_space else "full"
    return f"power {form.power:g}{distance}, {space}"


def plain_form(form: EnergyForm) -> dict[str, Any]:
    """Returns what tells energies apart, ready for JSON."""
    return {
        "power": form.power,
        "distance": form.distance,
        "half_space": form.half_space,
    }

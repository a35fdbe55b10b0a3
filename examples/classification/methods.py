"""Methods that the program compares: what acts on kernels, which rate."""

import re
from dataclasses import dataclass, replace
from typing import Any

import keras

from classification.neuron_terms import (
    CONSTRAINTS,
    INITIALIZERS,
    RELATIVES,
    NeuronTerm,
)
from common.energy_names import POWERS
from common.labels import exact
from keras_mhe import MHE
from keras_mhe.regularizers import RegularizerSum

MODEL_NAMES = ("baseline", "mhe", "half_mhe")


@dataclass(frozen=True)
class Method:
    """An energy term of the published program, or none, and what else acts.

    Attributes:
        model_name: One of `MODEL_NAMES`.
        power_s: One of `POWERS`; without effect for the baseline.
        learning_rate: Float > 0, or `None` for that of the recipe.
        relative: One of `RELATIVES` for all kernels, or `None`.
        constraint: One of `CONSTRAINTS` for all kernels, or `None`.
        initializer: One of `INITIALIZERS` for all kernels, or `None`.
    """

    model_name: str
    power_s: str = "2"
    learning_rate: float | None = None
    relative: NeuronTerm | None = None
    constraint: NeuronTerm | None = None
    initializer: NeuronTerm | None = None

    @classmethod
    def parse(cls, text: str) -> "Method":
        """Reads `baseline`, `half_mhe:2`, `separation:0.5+descent`.

        Terms are joined by `+`, and a rate may follow: `mhe:0@0.05`.

        Raises:
            ValueError: If the text is not of that form.
        """
        named, at, rate = text.partition("@")
        method = cls("baseline")
        kinds = []
        # Not the sign of an exponent.
        for part in re.split(r"\+(?![0-9])", named):
            kind, changes = _part(part, text)
            kinds.append(kind)
            method = replace(method, **changes)
        if len(set(kinds)) < len(kinds):
            raise ValueError(
                "a method has one energy, one relative, one constraint and "
                f"one initializer at most. Received: {text!r}."
            )
        if at:
            try:
                learning_rate = float(rate)
            except ValueError:
                learning_rate = -1.0
            if not 0.0 < learning_rate < float("inf"):
                raise ValueError(
                    "after `@` stands the method's learning rate, a number "
                    "> 0, at the end. "
                    f"Received: {text!r}."
                )
            method = replace(method, learning_rate=learning_rate)
        return method

    @property
    def label(self) -> str:
        """The text that `parse` reads."""
        others = (self.relative, self.constraint, self.initializer)
        labels = [term.label for term in others if term is not None]
        if self.model_name != "baseline":
            labels.insert(0, f"{self.model_name}:{self.power_s}")
        label = "+".join(labels) or "baseline"
        if self.learning_rate is not None:
            label += f"@{exact(self.learning_rate)}"
        return label

    @property
    def folder(self) -> str:
        """The label as a folder name."""
        return self.label.replace(":", "_").replace("@", "_rate_")

    def kernel_arguments(
        self, decay: keras.regularizers.Regularizer, *, output_layer: bool
    ) -> dict[str, Any]:
        """Returns what a layer of Keras takes for one kernel.

        Args:
            decay: The weight decay, which every kernel has.
            output_layer: Whether the kernel is the classifier's.
        """
        terms = []
        if self.model_name != "baseline":
            terms.append(
                MHE.from_reference(
                    self.model_name, self.power_s, output_layer=output_layer
                )
            )
        if self.relative is not None:
            terms.append(self.relative.regularizer(output_layer=output_layer))
        constraint = None
        if self.constraint is not None:
            constraint = self.constraint.constraint(output_layer=output_layer)
        # He et al. as published: Keras' HeNormal is a truncated normal.
        initializer = keras.initializers.VarianceScaling(
            2.0, mode="fan_in", distribution="untruncated_normal"
        )
        if self.initializer is not None:
            initializer = self.initializer.initializer(
                initializer, output_layer=output_layer
            )
        return {
            "kernel_regularizer": RegularizerSum([*terms, decay])
            if terms
            else decay,
            "kernel_constraint": constraint,
            "kernel_initializer": initializer,
        }


def _part(part: str, text: str) -> tuple[str, dict[str, object]]:
    """Returns the kind of a part of a method, and the fields that it sets."""
    name, _, power_s = part.partition(":")
    if name in RELATIVES:
        return "relative", {"relative": NeuronTerm.parse(part)}
    if name in CONSTRAINTS:
        return "constraint", {"constraint": NeuronTerm.parse(part)}
    if name in INITIALIZERS:
        return "initializer", {"initializer": NeuronTerm.parse(part)}
    if part == "baseline":
        return "energy", {}
    if name in MODEL_NAMES[1:] and power_s in POWERS:
        return "energy", {"model_name": name, "power_s": power_s}
    others = ", ".join([*RELATIVES, *CONSTRAINTS, *INITIALIZERS])
    raise ValueError(
        "a method is `baseline`, `mhe:POWER` or `half_mhe:POWER` with POWER "
        f"one of {', '.join(POWERS)}, or one of {others}, or several of them "
        f"joined by `+`, and may end in `@RATE`. Received: {text!r}."
    )

"""What can act on kernels beside the published energy, by name and number."""

from dataclasses import dataclass
from typing import Any

import keras

from common.labels import exact
from keras_mhe import constraints, initializers, regularizers

#: Relatives of the energy and the strength that they have without a number.
#: The classifier gets ten times of it, as with the published energy.
RELATIVES = {
    "compressive": 1.0,
    "covering": 1.0,
    "gram_determinant": 1.0,
    "orthogonal": 1.0,
    "polarization": 1.0,
    "separation": 1.0,
    "uniformity": 1.0,
}

#: Constraints and their number: rate of the descent, largest energy gap,
#: length of the neurons.
CONSTRAINTS = {"descent": 0.01, "max_energy": 1.0, "unit_sphere": 1.0}

#: Initializers, which take no number.
INITIALIZERS = ("minimum_energy",)


@dataclass(frozen=True)
class NeuronTerm:
    """A name of `RELATIVES`, `CONSTRAINTS` or `INITIALIZERS`, and a number.

    Attributes:
        name: The name.
        number: Float > 0; `None` for what takes none.
    """

    name: str
    number: float | None = None

    @classmethod
    def parse(cls, text: str) -> "NeuronTerm":
        """Reads `separation`, or `separation:0.5`.

        Raises:
            ValueError: If the text is not of that form.
        """
        name, colon, number = text.partition(":")
        if name in INITIALIZERS:
            if colon:
                raise ValueError(f"{name} takes no number. Received: {text!r}.")
            return cls(name)
        defaults = RELATIVES | CONSTRAINTS
        if name not in defaults:
            names = ", ".join([*sorted(defaults), *INITIALIZERS])
            raise ValueError(f"a term is one of {names}. Received: {text!r}.")
        try:
            value = float(number) if colon else defaults[name]
        except ValueError:
            value = -1.0
        if not 0.0 < value < float("inf"):
            raise ValueError(
                f"{name} takes a number > 0, as in `{name}:0.5`. "
                f"Received: {text!r}."
            )
        return cls(name, value)

    @property
    def label(self) -> str:
        """The text that `parse` reads."""
        if self.number is None:
            return self.name
        return f"{self.name}:{exact(self.number)}"

    def regularizer(self, *, output_layer: bool) -> Any:
        """Returns the term of `RELATIVES` for one kernel.

        Half space for hidden layers and full space for the classifier, as the
        published programs have it.
        """
        strength = (10.0 if output_layer else 1.0) * self.number
        if self.name == "orthogonal":
            return OrthogonalColumns(strength)
        half_space = not output_layer
        make = {
            "compressive": regularizers.CompressiveMHE,
            "covering": regularizers.Covering,
            "gram_determinant": regularizers.GramDeterminant,
            "polarization": regularizers.Polarization,
            "separation": regularizers.Separation,
            "uniformity": regularizers.Uniformity,
        }[self.name]
        return make(strength, half_space=half_space)

    def constraint(self, *, output_layer: bool) -> Any:
        """Returns the term of `CONSTRAINTS` for one kernel."""
        half_space = not output_layer
        if self.name == "descent":
            return constraints.EnergyDescent(
                rate=self.number, half_space=half_space
            )
        if self.name == "max_energy":
            return constraints.MaxEnergy(gap=self.number, half_space=half_space)
        return constraints.UnitSphere(self.number)

    def initializer(self, lengths: Any, *, output_layer: bool) -> Any:
        """Returns the term of `INITIALIZERS` for one kernel."""
        return initializers.MinimumEnergy(lengths, half_space=not output_layer)


@keras.saving.register_keras_serializable(package="keras_mhe_examples")
class OrthogonalColumns(keras.regularizers.OrthogonalRegularizer):
    """`OrthogonalRegularizer` of Keras on a kernel as a matrix of neurons.

    Args:
        factor: Strength of the mean absolute cosine of all pairs.
        mode: `"columns"`, which are the neurons.
    """

    def __init__(self, factor: float = 0.01, mode: str = "columns") -> None:
        super().__init__(factor, mode)

    def __call__(self, inputs: Any) -> Any:
        """Returns the term of a kernel whose last axis counts the neurons."""
        matrix = keras.ops.reshape(inputs, (-1, inputs.shape[-1]))
        return super().__call__(matrix)

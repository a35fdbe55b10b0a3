"""Methods that the program compares: which energy term, which rate."""

from dataclasses import dataclass

from common.energy_names import POWERS
from keras_mhe import MHE
from keras_mhe.regularizers import PublishedMHE

MODEL_NAMES = ("baseline", "mhe", "half_mhe")


@dataclass(frozen=True)
class Method:
    """An energy term of the published program, or none.

    Attributes:
        model_name: One of `MODEL_NAMES`.
        power_s: One of `POWERS`; without effect for the baseline.
        learning_rate: Float > 0, or `None` for that of the recipe.
    """

    model_name: str
    power_s: str = "2"
    learning_rate: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Method":
        """Reads `baseline`, `half_mhe:2` or, with a rate, `mhe:0@0.05`.

        Raises:
            ValueError: If the text is not of that form.
        """
        named, _, rate = text.partition("@")
        model_name, _, power_s = named.partition(":")
        expects_power = model_name != "baseline"
        if (
            model_name not in MODEL_NAMES
            or bool(power_s) != expects_power
            or (expects_power and power_s not in POWERS)
        ):
            raise ValueError(
                "a method is `baseline`, `mhe:POWER` or `half_mhe:POWER` with "
                f"POWER one of {', '.join(POWERS)}, and may end in `@RATE`. "
                f"Received: {text!r}."
            )
        learning_rate = None
        if "@" in text:
            try:
                learning_rate = float(rate)
            except ValueError:
                learning_rate = -1.0
            if not 0.0 < learning_rate < float("inf"):
                raise ValueError(
                    "the rate after `@` must be a number > 0. "
                    f"Received: {text!r}."
                )
        return cls(model_name, power_s or "2", learning_rate)

    @property
    def label(self) -> str:
        """The text that `parse` reads."""
        label = self.model_name
        if self.model_name != "baseline":
            label += f":{self.power_s}"
        if self.learning_rate is not None:
            label += f"@{self.learning_rate:g}"
        return label

    @property
    def folder(self) -> str:
        """The label as a folder name."""
        return self.label.replace(":", "_").replace("@", "_rate_")

    def regularizer(self, *, output_layer: bool) -> PublishedMHE | None:
        """Returns the energy term of one kernel, `None` for the baseline."""
        if self.model_name == "baseline":
            return None
        return MHE.from_reference(
            self.model_name, self.power_s, output_layer=output_layer
        )

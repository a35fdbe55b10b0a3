"""Variants that the program compares: which energy, which normalization."""

from dataclasses import dataclass

import keras
from keras import layers

from common.energy_names import POWERS as NAMED_POWERS
from common.energy_names import energy_named
from common.labels import exact
from keras_mhe import MHE
from keras_mhe.layers import SpectralNormalization

VARIANTS = ("baseline", "sn", "mhe", "sn_mhe")
#: Of the energy: `published` is the program's own term, full space.
POWERS = ("published", *NAMED_POWERS)
_SPACES = ("full", "half")


@dataclass(frozen=True)
class Variant:
    """A discriminator, with or without energy and spectral normalization.

    Attributes:
        name: One of `VARIANTS`.
        power_s: One of `POWERS`, with angles for a0, a1, a2.
        space: `full` or `half`, of an energy that is not the published one.
        strength: Factor of the energy; `None` for the published term, whose
            strength depends on the normalization.
    """

    name: str = "sn_mhe"
    power_s: str = "published"
    space: str = "full"
    strength: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Variant":
        """Reads `VARIANT[:SPACE:POWER@STRENGTH]`.

        For example `baseline`, `sn_mhe` or `mhe:half:2@0.1`.

        Raises:
            ValueError: If the text is not of that form.
        """
        wrong = ValueError(
            "a variant is VARIANT[:SPACE:POWER@STRENGTH] with VARIANT one of "
            f"{', '.join(VARIANTS)}, SPACE full or half, POWER one of "
            f"{', '.join(NAMED_POWERS)}. Received: {text!r}."
        )
        name, colon, term = text.partition(":")
        if name not in VARIANTS or (colon and "mhe" not in name):
            raise wrong
        if not colon:
            return cls(name)
        space, colon, term = term.partition(":")
        power_s, at, strength = term.partition("@")
        if space not in _SPACES or power_s not in NAMED_POWERS or not at:
            raise wrong
        try:
            variant = cls(name, power_s, space, float(strength))
        except ValueError:
            raise wrong from None
        if not 0.0 < variant.strength < float("inf"):
            raise wrong
        return variant

    @property
    def label(self) -> str:
        """The text that `parse` reads."""
        if not self.has_energy or self.power_s == "published":
            return self.name
        strength = exact(self.strength)
        return f"{self.name}:{self.space}:{self.power_s}@{strength}"

    @property
    def folder(self) -> str:
        """The label as a folder name."""
        return self.label.replace(":", "_").replace("@", "_strength_")

    @property
    def has_energy(self) -> bool:
        """Whether the discriminator is regularized."""
        return "mhe" in self.name

    @property
    def is_normalized(self) -> bool:
        """Whether the discriminator has spectral normalization."""
        return "sn" in self.name

    def regularizer(self) -> keras.regularizers.Regularizer | None:
        """Returns the energy term of a kernel, `None` for none."""
        if not self.has_energy:
            return None
        if self.power_s == "published":
            return MHE.from_reference("sn_gan" if self.is_normalized else "gan")
        is_half = self.space == "half"
        return energy_named(self.power_s, self.strength, half_space=is_half)

    def wrap(self, layer: layers.Layer) -> layers.Layer:
        """Returns the layer, normalized if the variant is."""
        if not self.is_normalized:
            return layer
        return SpectralNormalization(layer, name=f"sn_{layer.name}")

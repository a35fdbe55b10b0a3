"""Methods that the program compares: which head, which energy."""

from dataclasses import dataclass, replace

import keras

from common.energy_names import POWERS, energy_named
from common.labels import exact
from keras_mhe import MHE
from keras_mhe.layers import (
    AngularMargin,
    ArcFace,
    CosFace,
    SphereFace,
    SphereFace2,
    SphereFaceR,
)
from keras_mhe.losses import OneVsAllCrossentropy
from verification.recipes import Recipe

#: Margins that are taken if none is named; the softmax has none.
MARGINS = {
    "softmax": None,
    "sphereface": 4.0,
    "sphereface_r": 1.7,
    "cosface": 0.35,
    "arcface": 0.5,
    "sphereface2": 0.4,
}
ENERGIES = ("none", "batch", "full")
#: Power and strength of an energy if none are named.
POWER_S, STRENGTH = "2", 100.0


@dataclass(frozen=True)
class Method:
    """A head, with or without the energy of its class vectors.

    Attributes:
        head: One of `MARGINS`; `softmax` is the normalised softmax.
        margin: The head's margin, `None` for the softmax.
        energy: One of `ENERGIES`: `batch` compares the classes of the batch
            with all, `full` all with all.
        power_s: One of `POWERS`, with angles for a0, a1, a2; `None` for no
            energy.
        strength: Factor of the energy, a mean over pairs; `None` for no
            energy.
    """

    head: str = "sphereface"
    margin: float | None = 4.0
    energy: str = "none"
    power_s: str | None = None
    strength: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Method":
        """Reads `HEAD[:MARGIN][+ENERGY[:POWER][@STRENGTH]]`.

        For example `softmax`, `arcface:0.5` or `sphereface:4+batch:2@10`.

        Raises:
            ValueError: If the text is not of that form.
        """
        wrong = ValueError(
            "a method is HEAD[:MARGIN][+ENERGY[:POWER][@STRENGTH]] with HEAD "
            f"one of {', '.join(MARGINS)}, ENERGY batch or full, POWER one of "
            f"{', '.join(POWERS)}. Received: {text!r}."
        )
        named, plus, term = text.partition("+")
        head, colon, margin = named.partition(":")
        term, at, strength = term.partition("@")
        energy, with_power, power_s = term.partition(":")
        if head not in MARGINS or bool(plus) != (energy in ENERGIES[1:]):
            raise wrong
        if (head == "softmax" and colon) or (
            with_power and power_s not in POWERS
        ):
            raise wrong
        try:
            method = cls(
                head=head,
                margin=float(margin) if colon else MARGINS[head],
                energy=energy or "none",
                power_s=(power_s or POWER_S) if energy else None,
                strength=(float(strength) if at else STRENGTH)
                if energy
                else None,
            )
        except ValueError:
            raise wrong from None
        method.check()
        return method

    def check(self) -> None:
        """Raises `ValueError` if a number is out of range."""
        if self.energy != "none" and not 0.0 < self.strength < float("inf"):
            raise ValueError(
                f"the strength must be a number > 0. Received: {self.strength}."
            )
        # The head knows what its margin may be.
        try:
            self.layer(2, Recipe())
        except ValueError as error:
            raise ValueError(f"{self.head}: {error}") from error

    @property
    def label(self) -> str:
        """The text that `parse` reads."""
        label = self.head
        if self.margin is not None:
            label += f":{exact(self.margin)}"
        if self.energy != "none":
            strength = exact(self.strength)
            label += f"+{self.energy}:{self.power_s}@{strength}"
        return label

    @property
    def folder(self) -> str:
        """The label as a folder name."""
        readable = self.label.replace("@", "_strength_")
        return readable.translate(str.maketrans(":+", "__"))

    @property
    def without_energy(self) -> "Method":
        """The method that a training with energy begins with."""
        return replace(self, energy="none", power_s=None, strength=None)

    def regularizer(self) -> MHE | None:
        """Returns the energy term, `None` for none."""
        if self.energy == "none":
            return None
        return energy_named(self.power_s, self.strength)

    def layer(self, num_classes: int, recipe: Recipe) -> AngularMargin:
        """Returns the head, named `head`."""
        decay = keras.regularizers.L2(recipe.weight_decay / 2.0)
        energy = self.regularizer()
        is_full = self.energy == "full"
        common = {
            "name": "head",
            "energy": None if is_full else energy,
            "kernel_regularizer": energy + decay if is_full else decay,
            # Caffe's "xavier": class vectors of length one.
            "kernel_initializer": keras.initializers.VarianceScaling(
                1.0, mode="fan_in", distribution="uniform"
            ),
        }
        detached = {"gradient_detachment": recipe.gradient_detachment}
        if self.head == "softmax":
            return AngularMargin(num_classes, scale=recipe.scale, **common)
        if self.head == "sphereface":
            is_whole = self.margin == int(self.margin)
            return SphereFace(
                num_classes,
                margin=int(self.margin) if is_whole else self.margin,
                lambda_base=recipe.lambda_base,
                lambda_gamma=recipe.lambda_gamma,
                lambda_power=recipe.lambda_power,
                lambda_min=recipe.lambda_min,
                **detached,
                **common,
            )
        if self.head == "sphereface2":
            return SphereFace2(
                num_classes, margin=self.margin, scale=recipe.scale, **common
            )
        if self.head == "sphereface_r":
            return SphereFaceR(
                num_classes,
                margin=self.margin,
                scale=recipe.scale,
                feature_norm=recipe.feature_norm,
                **detached,
                **common,
            )
        head = {"cosface": CosFace, "arcface": ArcFace}[self.head]
        if self.head == "cosface":
            detached = {}
        return head(
            num_classes,
            margin=self.margin,
            scale=recipe.scale,
            **detached,
            **common,
        )

    def loss(self, head: AngularMargin) -> keras.losses.Loss:
        """Returns the loss that goes with the head."""
        if isinstance(head, SphereFace2):
            # As published: the factor over the scale.
            return OneVsAllCrossentropy(factor=50.0 / head.scale)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

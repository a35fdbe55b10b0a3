"""Compressive Minimum Hyperspherical Energy as a Keras regularizer."""

from operator import attrgetter
from typing import Any

from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_choice, check_integer, check_real
from keras_mhe.ops import compressive_energy
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._relatives.projections import KINDS
from keras_mhe.regularizers._neurons import NeuronRegularizer


@register("CompressiveMHE")
class CompressiveMHE(NeuronRegularizer):
    """Hyperspherical energy of neurons that are projected to few dimensions.

    Adds `strength * compressive_energy(kernel, ...)` to the loss. The
    projections are a function of `seed` and `draw`, so the term is a pure
    function of the kernel. They stay the same in training, unless
    `keras_mhe.callbacks.RefreshProjections` raises `draw`.

    Args:
        strength: Real number >= 0, the factor of the energy. Defaults to
            `1.0`.
        projection: `"random"`, `"angle_preserving"` or `"adversarial"`, see
            `keras_mhe.ops.compressive_energy`. Defaults to `"random"`.
        dim: Int >= 2, dimension of the projected neurons; shorter ones are
            not projected. Below `power + 2` random directions have no finite
            mean energy, and single pairs are most of the term. Defaults to
            `30`.
        num_projections: Int >= 1. Defaults to `20`.
        steps: Int >= 0, steps of projections that are not random. Defaults to
            `1`.
        rate: Real number > 0, length of a step as a share of the projection's
            norm. Defaults to `0.1`.
        seed: Int >= 0 of the projections. Defaults to `0`.
        draw: Int >= 0, raised for new projections of the same seed. Defaults
            to `0`.
        power: As for `keras_mhe.MHE`. Defaults to `2`.
        distance: As for `keras_mhe.MHE`. Defaults to `"euclidean"`.
        half_space: As for `keras_mhe.MHE`. Defaults to `True`.
        neuron_axis: As for `keras_mhe.MHE`. Defaults to `-1`.
        groups: As for `keras_mhe.MHE`. Defaults to `1`.
        block_size: As for `keras_mhe.MHE`. Defaults to `"auto"`.
        units: `"energy"`, or `"gap"` of the projected neurons, see
            `keras_mhe.ops.compressive_energy`. Defaults to `"energy"`.

    Raises:
        ValueError: On construction, if an argument is outside its range, or
            for gaps of angles in full space, where no minimum is proven; on
            the call, if the kernel does not have the axes or groups, or for
            gaps if projected neurons have `power + 1` entries or fewer.

    Call arguments:
        x: The kernel, a float tensor of rank 2 or more.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> regularizer = keras_mhe.regularizers.CompressiveMHE(1.0, dim=10)
        >>> layer = keras.layers.Dense(4, kernel_regularizer=regularizer)
        >>> layer.build((None, 64))
        >>> bool(layer.losses[0] > 0)
        True

    References:
        Lin et al., "Regularizing Neural Networks via Minimizing Hyperspherical
        Energy", CVPR 2020, arXiv:1906.04892. See `keras_mhe.ops.
        compressive_energy` for the differences.
    """

    half_space = property(attrgetter("form.half_space"))
    units = property(attrgetter("form.units"))

    def __init__(
        self,
        strength: float = 1.0,
        *,
        projection: str = "random",
        dim: int = 30,
        num_projections: int = 20,
        steps: int = 1,
        rate: float = 0.1,
        seed: int = 0,
        draw: int = 0,
        power: float = 2,
        distance: str = "euclidean",
        half_space: bool = True,
        neuron_axis: int | tuple[int, ...] = -1,
        groups: int = 1,
        block_size: int | str = "auto",
        units: str = "energy",
    ) -> None:
        self.strength = check_real("strength", strength, at_least=0)
        self.projection = check_choice("projection", projection, KINDS)
        self.dim = check_integer("dim", dim, at_least=2)
        self.num_projections = check_integer(
            "num_projections", num_projections, at_least=1
        )
        self.steps = check_integer("steps", steps, at_least=0)
        self.rate = check_real("rate", rate, above=0)
        self.seed = check_integer("seed", seed, at_least=0)
        self.draw = check_integer("draw", draw, at_least=0)
        self.form = EnergyForm(
            power,
            distance,
            half_space,
            neuron_axis,
            groups,
            block_size,
            units=units,
        )

    def term(self, x: Tensor) -> Tensor:
        """Returns `strength` times the energy of the kernel `x`."""
        arguments = self.get_config()
        del arguments["strength"]
        return self.strength * compressive_energy(x, **arguments)

    def has_gap(self, dim: int) -> bool:
        """Returns whether random neurons, projected, have a finite energy."""
        return self.form.power < min(dim, self.dim) - 1

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return {
            "strength": self.strength,
            "projection": self.projection,
            "dim": self.dim,
            "num_projections": self.num_projections,
            "steps": self.steps,
            "rate": self.rate,
            "seed": self.seed,
            "draw": self.draw,
            **self.form.get_config("epsilon"),
        }

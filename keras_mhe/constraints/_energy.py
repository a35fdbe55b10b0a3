"""Hyperspherical energy as Keras constraints: descent, and a bound."""

from typing import Any

import keras

from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_integer, check_real
from keras_mhe.ops._energy.descent import lowered
from keras_mhe.ops._pairs.form import EnergyForm


class _EnergyConstraint(keras.constraints.Constraint):  # type: ignore[misc]
    """What the constraints on an energy share: its form, steps and rate."""

    def __init__(
        self,
        form: EnergyForm,
        steps: int,
        rate: float,
    ) -> None:
        self.form = form
        self.steps = check_integer("steps", steps, at_least=1)
        self.rate = check_real("rate", rate, above=0)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return {
            "steps": self.steps,
            "rate": self.rate,
            **self.form.get_config("epsilon", "units"),
        }


@register("EnergyDescent")
class EnergyDescent(_EnergyConstraint):
    """Turns the neurons downhill in their energy after each update.

    In place of a term in the loss: the gradient of the loss stays what it
    is, the optimizer's state does not see the energy, and the lengths of the
    neurons are kept. After the constraint the energy is never higher than
    before it; what the optimizer did before may well have raised it.

    Args:
        steps: Int >= 1, steps after each update at most. Defaults to `1`.
        rate: Real number > 0, the length of a step in units of the slope of a
            neuron's mean energy; a step that does not lower the energy is
            tried again with a quarter of it. `rate` takes the place of a
            regularizer's strength: with small ones the loss decides, with
            large ones the energy. Defaults to `0.01`.
        power: As for `keras_mhe.MHE`. Defaults to `2`.
        distance: As for `keras_mhe.MHE`. Defaults to `"euclidean"`.
        half_space: As for `keras_mhe.MHE`. Defaults to `False`.
        neuron_axis: As for `keras_mhe.MHE`. Defaults to `-1`.
        groups: As for `keras_mhe.MHE`. Defaults to `1`.
        block_size: As for `keras_mhe.MHE`. Defaults to `"auto"`.

    Raises:
        ValueError: On construction, if an argument is outside its range; on
            the call, if the kernel does not have the axes or groups.

    Call arguments:
        w: The kernel, a float tensor of rank 2 or more.

    Numerics:
        See `keras_mhe.ops.lower_energy`. One step costs two energies
        with their gradients after each update, however large the batch is.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> descent = keras_mhe.constraints.EnergyDescent(half_space=True)
        >>> layer = keras.layers.Dense(8, kernel_constraint=descent)
        >>> layer.build((None, 4))
        >>> energy = keras_mhe.MHE(half_space=True)
        >>> lower = layer.kernel.constraint(layer.kernel)
        >>> bool(energy(lower) < energy(layer.kernel))
        True
    """

    def __init__(
        self,
        steps: int = 1,
        *,
        rate: float = 0.01,
        power: float = 2,
        distance: str = "euclidean",
        half_space: bool = False,
        neuron_axis: int | tuple[int, ...] = -1,
        groups: int = 1,
        block_size: int | str = "auto",
    ) -> None:
        form = EnergyForm(
            power, distance, half_space, neuron_axis, groups, block_size
        )
        super().__init__(form, steps, rate)

    def __call__(self, w: Tensor) -> Tensor:
        """Returns the turned kernel, in the dtype of `w`."""
        return lowered(w, self.form, self.steps, self.rate)


@register("MaxEnergy")
class MaxEnergy(_EnergyConstraint):
    """Keeps the energy of the neurons at or below a level.

    After each update the neurons are turned downhill until their energy is at
    or below the level, in at most `steps` steps. If these do not reach it,
    the kernel is what they reached, lower than before; the next update goes
    on. Kernels at or below the level are left alone. Lengths are kept.

    Args:
        limit: `None`, or a finite real number: the level, as
            `keras_mhe.MHE(1.0)` measures it. Defaults to `None`.
        gap: `None`, or a real number >= 0: the level by its place between
            the minimum (0), see `keras_mhe.analysis.minimum_energy`, and
            random directions (1), as `energy_gap` measures it. Exactly one of
            `limit` and `gap` must be given. Defaults to `None`.
        steps: Int >= 1, steps after each update at most. Defaults to `10`.
        rate: Real number > 0, see `EnergyDescent`. Defaults to `1.0`.
        power: As for `keras_mhe.MHE`. Defaults to `2`.
        distance: As for `keras_mhe.MHE`. Defaults to `"euclidean"`.
        half_space: As for `keras_mhe.MHE`. Defaults to `False`.
        neuron_axis: As for `keras_mhe.MHE`. Defaults to `-1`.
        groups: As for `keras_mhe.MHE`. Defaults to `1`.
        block_size: As for `keras_mhe.MHE`. Defaults to `"auto"`.

    Raises:
        ValueError: On construction, if an argument is outside its range; on
            the call, if the kernel does not have the axes or groups, or if
            random directions have no finite energy for a `gap`.

    Call arguments:
        w: The kernel, a float tensor of rank 2 or more.

    Numerics:
        See `keras_mhe.ops.lower_energy`. A kernel at or below the
        level costs one energy with its gradient. A level below the minimum
        is never reached, and all steps are taken after each update, until
        none lowers the energy.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> bound = keras_mhe.constraints.MaxEnergy(gap=0.5, steps=50)
        >>> layer = keras.layers.Dense(16, kernel_constraint=bound)
        >>> layer.build((None, 8))
        >>> kernel = layer.kernel.constraint(layer.kernel)
        >>> energy = float(keras_mhe.MHE(1.0)(kernel))
        >>> keras_mhe.analysis.energy_gap(energy, 16, 8) <= 0.5
        True
    """

    def __init__(
        self,
        limit: float | None = None,
        *,
        gap: float | None = None,
        steps: int = 10,
        rate: float = 1.0,
        power: float = 2,
        distance: str = "euclidean",
        half_space: bool = False,
        neuron_axis: int | tuple[int, ...] = -1,
        groups: int = 1,
        block_size: int | str = "auto",
    ) -> None:
        form = EnergyForm(
            power, distance, half_space, neuron_axis, groups, block_size
        )
        super().__init__(form, steps, rate)
        if (limit is None) == (gap is None):
            raise ValueError(
                "Exactly one of `limit` and `gap` must be given. "
                f"Received: limit={limit!r}, gap={gap!r}."
            )
        self.limit = self.gap = None
        if limit is not None:
            self.limit = check_real("limit", limit)
        if gap is not None:
            self.gap = check_real("gap", gap, at_least=0)

    def __call__(self, w: Tensor) -> Tensor:
        """Returns the turned kernel, in the dtype of `w`."""
        return lowered(
            w, self.form, self.steps, self.rate, self.limit, self.gap
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return {"limit": self.limit, "gap": self.gap, **super().get_config()}

"""Hyperspherical energies in the epoch logs."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import keras

from keras_mhe._neurons.walk import chosen_names
from keras_mhe._validation import check_boolean, check_integer, check_names
from keras_mhe.analysis import neuron_kernels
from keras_mhe.analysis._forms import given_energy, with_forms
from keras_mhe.analysis._kernel_audit import audit_kernel


class EnergyMonitor(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds energies and angles of the model's neurons to the epoch logs.

    The logs feed the progress bar, `History`, `CSVLogger` and `TensorBoard`.
    List the monitor before a `CSVLogger` or `TensorBoard`, which read the
    logs when their turn comes. A measurement costs one evaluation of the
    energy of every kernel and one table of cosines, in tiles.

    Keys, the same in every epoch:

    - `energy`: mean over the kernels of their hyperspherical energies. Neurons
      of length 0 are left out of each. Where kernels have different energies,
      look at the gap.
    - `energy_gap`: mean over the kernels of their gaps, 0 for the proven
      minimum and 1 for random directions (`analysis.energy_gap`). Kernels
      without a proven minimum (with angles in full space) or without a random
      level (their vectors have `dim <= power + 1` entries) are left out; the
      key is missing if that leaves none. A kernel of which only few neurons
      are left (`"few living"` in an audit) has the gap NaN and is left out of
      the mean too, as long as others have one.
    - `min_angle`: degrees between the two nearest neurons of a kernel, the
      smallest of all kernels; in half space between their lines.
    - with `per_layer=True` also `energy/NAME`, `energy_gap/NAME` and
      `min_angle/NAME` for each kernel.

    Args:
        power: `None` for each kernel's own, as in `keras_mhe.audit`, or a
            real number >= 0, the energy's power for all. Defaults to `None`.
        distance: `None` for each kernel's own, `"euclidean"` or `"angular"`.
            Defaults to `None`.
        half_space: `None` for each kernel's own, or a bool. Defaults to
            `None`.
        per_layer: Bool. Whether to log every kernel too; in a deep model
            this floods the progress bar. Defaults to `False`.
        layers: `None` for all, or a sequence of names of layers or of what
            holds them, as in the keys and with `*` for any text
            (`"block/dense"`, `"block"`, `"conv*"`): only their kernels are
            measured. Defaults to `None`.
        every: Int >= 1. Measures after each so many epochs; the logs of
            those between repeat the last values, at first those before the
            training. Defaults to `1`.

    Raises:
        ValueError: On construction, if an argument is outside its range; when
            training begins, if the model has no kernel that
            `analysis.neuron_kernels` finds, or if a name of `layers` stands
            for none.

    Attributes:
        initial: Dict with the same keys, for the weights with which training
            began. Empty before.

    Example:
        >>> import keras, numpy as np
        >>> import keras_mhe
        >>> model = keras.Sequential(
        ...     [keras.Input((8,)), keras.layers.Dense(4)]
        ... )
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(
        ...     np.ones((8, 8)), np.ones((8, 4)), epochs=2, verbose=0,
        ...     callbacks=[keras_mhe.callbacks.EnergyMonitor()],
        ... )
        >>> sorted(history.history)
        ['energy', 'energy_gap', 'loss', 'min_angle']
    """

    def __init__(
        self,
        *,
        power: float | None = None,
        distance: str | None = None,
        half_space: bool | None = None,
        per_layer: bool = False,
        layers: Sequence[str] | None = None,
        every: int = 1,
    ) -> None:
        super().__init__()
        self._given = given_energy(power, distance, half_space)
        self.per_layer = check_boolean("per_layer", per_layer)
        self.layers = check_names("layers", layers)
        self.every = check_integer("every", every, at_least=1)
        self.initial: dict[str, float] = {}
        self._latest: dict[str, float] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Finds the kernels and measures them before the first step."""
        kernels = neuron_kernels(self.model)
        if not kernels:
            raise ValueError(
                "EnergyMonitor needs a built model with at least one kernel "
                "that `keras_mhe.analysis.neuron_kernels` finds. "
                f"Received: model {self.model.name!r}, which has none."
            )
        names = [kernel.name for kernel in kernels]
        chosen = chosen_names("layers", self.layers, names)
        self._kernels = with_forms(
            self.model, [k for k in kernels if k.name in chosen], self._given
        )
        self.initial = self._measure()
        self._latest = self.initial

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Adds the energies to `logs`."""
        if (epoch + 1) % self.every == 0:
            self._latest = self._measure()
        if logs is not None:
            logs.update(self._latest)

    def _measure(self) -> dict[str, float]:
        rows = [
            audit_kernel(kernel, form, count_angles=False)
            for kernel, form in self._kernels
        ]
        by_key = {
            "energy": {row.layer: row.energy for row in rows},
            "energy_gap": {row.layer: row.gap for row in rows if row.has_gap},
            "min_angle": {row.layer: row.min_angle for row in rows},
        }
        died = {row.layer for row in rows if row.has_few_living}
        measured = {
            key: _total(key, values, died)
            for key, values in by_key.items()
            if values
        }
        if self.per_layer:
            for key, values in by_key.items():
                measured |= {f"{key}/{k}": v for k, v in values.items()}
        return measured


def _total(key: str, by_layer: dict[str, float], died: set[str]) -> float:
    """The mean, or the smallest angle, without what dead neurons hide.

    Of neurons that are not finite there is no mean: it shows that they are.
    """
    is_angle = key == "min_angle"
    numbers = [
        value
        for layer, value in by_layer.items()
        if not (math.isnan(value) and (is_angle or layer in died))
    ]
    if not numbers:
        return math.nan
    return min(numbers) if is_angle else fmean(numbers)

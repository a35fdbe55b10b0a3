"""Hyperspherical energies in the epoch logs."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import keras

from keras_mhe import _validation
from keras_mhe.analysis import NeuronKernel, energy_gap, neuron_kernels


class EnergyMonitor(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds the energy of the model's kernels to the logs of every epoch.

    The logs feed the progress bar, `History`, `CSVLogger` and `TensorBoard`.
    List the monitor before a `CSVLogger`, which reads the logs when its turn
    comes. Each epoch costs one evaluation of the energy of every kernel.

    Keys, present in every epoch:

    - `energy`: mean over the kernels of their hyperspherical energies.
    - `energy_gap`: mean over the kernels of their gaps, 0 for the proven
      minimum and 1 for random directions (`analysis.energy_gap`). Kernels
      without a random level, because their vectors have `dim <= power + 1`
      entries, are left out; the key is missing if that leaves none.
    - with `per_layer=True` also `energy/NAME` and `energy_gap/NAME` for each
      kernel.

    Args:
        power: Real number >= 0, the energy's power, the same for all
            kernels whatever their regularizers. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Defaults to `False`.
        per_layer: Bool. Whether to log every kernel too; in a deep model
            this floods the progress bar. Defaults to `False`.
        layers: `None` for all, or a sequence of names of layers or of nested
            models, as in the keys (`"block/dense"`, `"block"`): only their
            kernels are measured. Defaults to `None`.

    Raises:
        ValueError: When training begins, if the model has no kernel that
            `analysis.neuron_kernels` finds, if a name of `layers` stands for
            none, or for arguments out of range.

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
        ['energy', 'energy_gap', 'loss']
    """

    def __init__(
        self,
        *,
        power: float = 2,
        distance: str = "euclidean",
        half_space: bool = False,
        per_layer: bool = False,
        layers: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.power = power
        self.distance = distance
        self.half_space = half_space
        self.per_layer = per_layer
        self.layers = _validation.names("layers", layers)
        self.initial: dict[str, float] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Finds the kernels and measures them before the first step."""
        self._kernels = neuron_kernels(self.model)
        if not self._kernels:
            raise ValueError(
                "EnergyMonitor needs a built model with at least one dense, "
                "convolution, embedding or recurrent kernel. "
                f"Received: model {self.model.name!r}, which has none."
            )
        if self.layers is not None:
            self._kernels = self._chosen(self.layers)
        self.initial = self._measure()

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Adds the energies to `logs`."""
        if logs is not None:
            logs.update(self._measure())

    def _chosen(self, names: list[str]) -> list[NeuronKernel]:
        """Kernels of these layers, in the order of the model."""

        def belongs(kernel: NeuronKernel, name: str) -> bool:
            return kernel.name == name or kernel.name.startswith(f"{name}/")

        for name in names:
            if not any(belongs(kernel, name) for kernel in self._kernels):
                known = ", ".join(repr(k.name) for k in self._kernels)
                raise ValueError(
                    "`layers` must name layers with a kernel, or models that "
                    f"hold some; there are {known}. Received: {name!r}."
                )
        return [
            kernel
            for kernel in self._kernels
            if any(belongs(kernel, name) for name in names)
        ]

    def _measure(self) -> dict[str, float]:
        energies = {}
        gaps = {}
        for kernel in self._kernels:
            energy = kernel.energy(**self._form)
            energies[kernel.name] = energy
            gap = self._gap(kernel, energy)
            if not math.isnan(gap):
                gaps[kernel.name] = gap
        measured = {"energy": fmean(energies.values())}
        if gaps:
            measured["energy_gap"] = fmean(gaps.values())
        if self.per_layer:
            measured |= {f"energy/{k}": v for k, v in energies.items()}
            measured |= {f"energy_gap/{k}": v for k, v in gaps.items()}
        return measured

    def _gap(self, kernel: NeuronKernel, energy: float) -> float:
        return energy_gap(energy, kernel.num_neurons, kernel.dim, **self._form)

    @property
    def _form(self) -> dict[str, Any]:
        return {
            "power": self.power,
            "distance": self.distance,
            "half_space": self.half_space,
        }

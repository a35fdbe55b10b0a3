"""The energy of a head: which one it can be, and how strong at a step."""

import inspect
from typing import Any

import keras
from keras import ops

from keras_mhe._typing import Tensor


def checked_energy(value: Any) -> Any:
    """Returns an `MHE`, or `None`."""
    energy = keras.regularizers.get(value)
    if energy is None:
        return None
    takes_anchors = "anchors" in inspect.signature(energy).parameters
    fits = takes_anchors and energy.neuron_axis in (-1, 1)
    if not fits or energy.groups != 1:
        raise ValueError(
            "`energy` must be a `keras_mhe.MHE` with `neuron_axis=-1`, the "
            f"axis of the classes, and `groups=1`. Received: energy={value!r}."
            " Anything else may be a `kernel_regularizer`."
        )
    return energy


def checked_schedule(value: Any, start: int, warmup: int) -> Any:
    """Returns a `LearningRateSchedule`, which stands alone, or `None`."""
    if isinstance(value, dict):
        value = keras.optimizers.schedules.deserialize(value)
    schedule = keras.optimizers.schedules.LearningRateSchedule
    if value is not None and not isinstance(value, schedule):
        raise ValueError(
            "`energy_schedule` must be a keras.optimizers.schedules."
            f"LearningRateSchedule. Received: energy_schedule={value!r}."
        )
    if value is not None and (start or warmup):
        raise ValueError(
            "`energy_schedule` stands in place of `energy_start` and "
            f"`energy_warmup`. Received: energy_schedule={value}, "
            f"energy_start={start}, energy_warmup={warmup}."
        )
    return value


def energy_factor(
    step: Tensor, schedule: Any, start: int, warmup: int
) -> Tensor:
    """Returns what multiplies the energy's strength at a training step."""
    if schedule is not None:
        return schedule(step)
    done = ops.cast(step - start + 1, "float32")
    return ops.clip(done / max(warmup, 1), 0.0, 1.0)

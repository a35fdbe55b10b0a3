"""Callbacks of the training programs."""

import math
import time

import keras
import numpy as np

from common.run_folder import RunError

#: Log of `StepTime`.
CPU_SECONDS = "cpu_seconds"


class StepTime(keras.callbacks.Callback):
    """Logs the CPU time of an epoch's steps, all threads, as `cpu_seconds`.

    From the beginning of the first to the end of the last; what happens
    between epochs does not count.
    """

    def __init__(self) -> None:
        super().__init__()
        self._first = self._last = 0.0

    def on_train_batch_begin(
        self, batch: int, logs: dict | None = None
    ) -> None:
        """Starts the clock with the first step."""
        if batch == 0:
            self._first = time.process_time()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Reads the clock."""
        self._last = time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the log."""
        if logs is not None:
            logs[CPU_SECONDS] = self._last - self._first


class StopAfter(keras.callbacks.Callback):
    """Ends the training in the middle of an epoch, after `steps` steps."""

    def __init__(self, steps: int, steps_per_epoch: int) -> None:
        super().__init__()
        self._steps = steps
        self._steps_per_epoch = steps_per_epoch
        self._before = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Counts the steps of the epochs before."""
        self._before = epoch * self._steps_per_epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Asks Keras to stop after the last step."""
        if self._before + batch + 1 >= self._steps:
            self.model.stop_training = True


class RefuseDivergence(keras.callbacks.Callback):
    """Ends the training at the first loss or weight that is not finite.

    Weights are looked at after each epoch: list it before what saves them.
    `keras.callbacks.TerminateOnNaN` would end the epoch properly, and with
    it write a backup of what is left of the weights.
    """

    def __init__(self, advice: str, loss: str = "loss") -> None:
        super().__init__()
        self._advice = advice
        self._loss = loss
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Remembers the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Raises `RunError` if the loss is not finite."""
        loss = float((logs or {})[self._loss])
        if not math.isfinite(loss):
            raise RunError(
                f"the training diverged: the loss is {loss} in step "
                f"{batch + 1} of epoch {self._epoch + 1}. {self._advice}"
            )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Raises `RunError` if a weight is not finite."""
        for weight in self.model.weights:
            if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
                raise RunError(
                    "the training diverged: weights of "
                    f"{weight.path} are not finite after epoch {epoch + 1}. "
                    f"{self._advice}"
                )


class KeepOffProgressBar(keras.callbacks.Callback):
    """Removes logs by the beginning of their names; list it last."""

    def __init__(self, *prefixes: str) -> None:
        super().__init__()
        self._prefixes = prefixes

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Removes the logs."""
        for name in [n for n in logs or {} if n.startswith(self._prefixes)]:
            del logs[name]

"""What is measured after every epoch."""

import time

import keras

from common.identity_data import IdentityData
from verification.models import class_vectors_of, embedding_of
from verification.scoring import class_vectors, verify

#: The log that chooses the best model.
VERIFICATION = "val_verification"


class VerificationMonitor(keras.callbacks.Callback):
    """Adds verification, diversity of the classes and time to the logs.

    `val_verification` is the accuracy of the folds and `val_eer` the equal
    error rate; `class_energy_gap`, `class_angle` (the smallest, in degrees)
    and `class_nearest_angle` (the mean to the nearest) are those of the
    class vectors; `lambda` is that of a
    SphereFace head in the last step; `seconds` and
    `cpu_seconds` of the epoch do not count the measuring.

    Args:
        data: The data set.
        mirror: Whether features of mirror images are appended.
    """

    def __init__(self, data: IdentityData, *, mirror: bool) -> None:
        super().__init__()
        self._data = data
        self._mirror = mirror
        self._started = (0.0, 0.0)

    def set_model(self, model: keras.Model) -> None:
        """Cuts out the embedding network, once for all epochs."""
        super().set_model(model)
        self._network = embedding_of(model)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clocks."""
        self._started = (time.perf_counter(), time.process_time())

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Measures."""
        if logs is None:
            return
        clocks = (time.perf_counter(), time.process_time())
        result = verify(
            self._network,
            self._data.x_test,
            self._data.pairs,
            mirror=self._mirror,
        )
        classes = class_vectors(class_vectors_of(self.model))
        logs[VERIFICATION] = result.accuracy
        logs["val_eer"] = result.eer
        logs["class_energy_gap"] = classes.energy_gap
        logs["class_angle"] = classes.smallest_angle
        logs["class_nearest_angle"] = classes.mean_nearest_angle
        head = self.model.get_layer("head")
        if hasattr(head, "lambda_at"):
            logs["lambda"] = float(head.lambda_at(head.step - 1))
        for name, started, ended in zip(
            ("seconds", "cpu_seconds"), self._started, clocks, strict=True
        ):
            logs[name] = round(ended - started, 2)

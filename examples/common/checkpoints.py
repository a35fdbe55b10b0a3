"""Checkpoints that survive a kill at any moment, also during their writing.

Keras' `BackupAndRestore` and `ModelCheckpoint` write in place, so a kill
during the writing leaves half a file. The callback here lets Keras write the
same files under another name and moves them into place.
"""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from common.dataset_types import DataError
from common.run_folder import RunError, write_atomically

BACKUP = "backup.weights.h5"
BEST = "best.keras"
LAST = "last.keras"
HISTORY = "history.csv"
METRICS = "metrics.json"

#: For a file of a finished run that is gone or damaged.
AGAIN = "Remove its folder to train again."


class Backup(keras.callbacks.Callback):
    """Keeps weights and optimizer of the last epoch; list it last.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the backup."""
        write_atomically(self._folder / BACKUP, self.model.save_weights)


class Checkpoints(Backup):
    """Keeps weights and optimizer of the last epoch and the best model.

    List it after the `CSVLogger` of `HISTORY`: a row that was written for an
    epoch without a backup is removed by `resume`.

    Args:
        folder: The run's folder.
        best_so_far: Largest value of the metric in earlier sessions.
        monitor: Name of the metric, larger is better.
    """

    def __init__(
        self,
        folder: Path,
        best_so_far: float = float("-inf"),
        monitor: str = "val_accuracy",
    ) -> None:
        super().__init__(folder)
        self._best = best_so_far
        self._monitor = monitor

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the best model if this is it, then the backup."""
        metric = (logs or {})[self._monitor]
        if metric > self._best:
            self._best = metric
            write_atomically(self._folder / BEST, self.model.save)
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Writes the model of the last epoch."""
        write_atomically(self._folder / LAST, self.model.save)


@contextmanager
def history_log(folder: Path) -> Iterator[keras.callbacks.CSVLogger]:
    """Gives the logger of `HISTORY`, whose file is closed if `fit` raises."""
    logger = keras.callbacks.CSVLogger(str(folder / HISTORY), append=True)
    try:
        yield logger
    finally:
        logger.on_train_end()


def resume(
    model: keras.Model,
    folder: Path,
    steps_per_epoch: int,
    monitor: str = "val_accuracy",
) -> tuple[int, float]:
    """Restores a compiled, built model from the run's backup, if there is one.

    Args:
        model: Compiled model of the run.
        folder: The run's folder.
        steps_per_epoch: Training steps of a full epoch.
        monitor: The metric of `Checkpoints`.

    Returns:
        Number of finished epochs and the largest value of the metric in
        them, `(0, -inf)` for a new run.

    Raises:
        RunError: If the backup is damaged, or of another model.
    """
    backup = folder / BACKUP
    finished = 0
    if backup.exists():
        model.optimizer.build(model.trainable_variables)
        try:
            model.load_weights(backup)
        except (OSError, ValueError) as error:
            raise RunError(
                f"{backup} cannot be loaded ({error}). Remove it to begin the "
                "run again."
            ) from error
        # The last epoch may be shorter than the others.
        finished = -(-int(model.optimizer.iterations) // steps_per_epoch)
        print(f"{folder}: continues after epoch {finished}", flush=True)
    rows = _keep_rows(folder / HISTORY, finished)
    best = max((float(row[monitor]) for row in rows), default=None)
    return finished, float("-inf") if best is None else best


def load_model(path: Path, advice: str) -> keras.Model:
    """Loads a saved model, without running code that is in the file.

    Args:
        path: The file.
        advice: What to do if it cannot be used, for the error message.

    Returns:
        The model, not compiled.

    Raises:
        DataError: If there is no such file, or it is not a Keras model.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing or not a file. {advice}")
    try:
        return keras.models.load_model(path, compile=False)
    # Keras raises whatever the parts of a damaged or foreign file raise.
    except Exception as error:
        raise DataError(
            f"{path} cannot be loaded as a Keras model "
            f"({type(error).__name__}: {error}). {advice}"
        ) from error


def read_history(folder: Path) -> np.ndarray:
    """Returns the epochs of a run as a structured array, one row each."""
    return np.atleast_1d(
        np.genfromtxt(
            folder / HISTORY,
            delimiter=",",
            names=True,
            deletechars="",
            replace_space="_",
        )
    )


def _keep_rows(history: Path, finished: int) -> list[dict[str, str]]:
    """Removes the rows of unfinished epochs; returns those that are left."""
    if not history.exists():
        return []
    with history.open(newline="") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        # A row cut off by a kill lacks its last fields.
        rows = [
            row
            for row in reader
            if None not in row.values() and int(row["epoch"]) < finished
        ]
    if not rows:
        history.unlink()
        return []

    def write(place: Path) -> None:
        with place.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(history, write)
    return rows

"""What data loaders share: `ImageData`, `DataError`, and where data are."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class DataError(Exception):
    """A dataset cannot be loaded: a file is missing, damaged or unexpected.

    The message is always one line, and says what is wrong and what to do, so
    that a program can print it and stop.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))


@dataclass(frozen=True)
class ImageData:
    """A labelled image dataset, split for training and testing.

    Images keep the order of their source, which may be sorted by class:
    shuffle before training.

    Attributes:
        name: Name of the dataset, as in `image_data.DATASETS`.
        x_train: Training images, uint8, shape
            `(num_train, height, width, channels)`, values 0 to 255.
        y_train: Training labels, int64, shape `(num_train,)`, each an index
            into `class_names`.
        x_test: Test images, as `x_train`.
        y_test: Test labels, as `y_train`.
        class_names: One name per class, in label order.
        source: Where the images were read from, for the record of a run.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    source: str


def cache_folder() -> Path:
    """Returns where made data are kept: `datasets` in `KERAS_HOME`.

    Without that variable it is in `~/.keras`, as Keras' own data sets are.
    """
    home = os.environ.get("KERAS_HOME", "~/.keras")
    return Path(home).expanduser() / "datasets"


def prepare_cache(folder: Path) -> None:
    """Makes a cache folder, before the work whose result it is to keep.

    Raises:
        DataError: If it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written to ({error.strerror}). Set KERAS_HOME "
            "to a folder that can be written to."
        ) from error


def existing_path(data_dir: str | Path) -> Path:
    """Returns `data_dir` as a path, with `~` expanded.

    Raises:
        DataError: If there is no such file or folder.
    """
    path = Path(data_dir).expanduser()
    if not path.exists():
        raise DataError(f"--data_dir {path} does not exist. Correct it.")
    return path

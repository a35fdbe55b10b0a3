"""The handwritten digits that scikit-learn brings along: no download."""

import numpy as np

from common.dataset_types import DataError, ImageData
from common.install_commands import EXAMPLES

NUM_TEST = 360
SPLIT_SEED = 0
MAX_INTENSITY = 16


def load_digits() -> ImageData:
    """1,797 digits of 8 x 8 pixels: 1,437 to train on and 360 to test on.

    scikit-learn's intensities, 0 to 16, are scaled to 0 to 255. The split
    keeps the share of each digit, and is the same in every run.

    Raises:
        DataError: If scikit-learn is not installed.
    """
    try:
        from sklearn import datasets, model_selection
    except ImportError as error:
        raise DataError(
            f"digits needs scikit-learn ({error}). Run: {EXAMPLES}"
        ) from error

    bunch = datasets.load_digits()
    images = np.rint(bunch.images * (255 / MAX_INTENSITY)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    train, test = model_selection.train_test_split(
        np.arange(len(labels)),
        test_size=NUM_TEST,
        stratify=labels,
        random_state=SPLIT_SEED,
    )
    return ImageData(
        name="digits",
        x_train=images[train][..., np.newaxis],
        y_train=labels[train],
        x_test=images[test][..., np.newaxis],
        y_test=labels[test],
        class_names=tuple(str(digit) for digit in range(10)),
        source="sklearn.datasets.load_digits",
    )

"""One entry to the image datasets of the example programs.

dataset = load_image_data("digits")
chosen = balanced_subset(dataset.y_train, size=500, seed=0)
images, labels = dataset.x_train[chosen], dataset.y_train[chosen]
"""

from pathlib import Path

import numpy as np

from common.cifar import load_cifar10, load_cifar100
from common.dataset_types import DataError, ImageData
from common.digits import load_digits
from common.fashion_mnist import load_fashion_mnist

__all__ = [
    "DATASETS",
    "DataError",
    "ImageData",
    "balanced_subset",
    "load_image_data",
]

DATASETS = ("digits", "fashion_mnist", "cifar10", "cifar100")


def load_image_data(name: str, data_dir: str | Path | None = None) -> ImageData:
    """Loads a dataset by name.

    Args:
        name: One of `DATASETS`.
        data_dir: Where the dataset's files are: see its own loader. It must
            then hold them; nothing else is tried. `None` takes the loader's
            defaults, the last of which is a download by Keras. `"digits"`
            comes with scikit-learn and ignores it.

    Returns:
        The dataset.

    Raises:
        ValueError: If `name` is not one of `DATASETS`.
        DataError: If the files are missing, damaged or not the published
            ones. The message is one line.
    """
    if name == "digits":
        return load_digits()
    loaders = {
        "fashion_mnist": load_fashion_mnist,
        "cifar10": load_cifar10,
        "cifar100": load_cifar100,
    }
    if name not in loaders:
        raise ValueError(
            f"`name` must be one of {DATASETS}. Received: name={name!r}."
        )
    return loaders[name](data_dir)


def balanced_subset(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Indices of a random subset with equally many examples per class.

    Class counts differ by one at most, unless a class has too few examples:
    then all of them are in, and the other classes share the rest. With one
    seed, a smaller subset is always part of a larger one.

    Args:
        labels: Integer labels, shape `(num_examples,)`.
        size: Number of examples to choose, from 1 to `num_examples`.
        seed: Integer >= 0. The same seed gives the same subset.

    Returns:
        Sorted, distinct indices into `labels`, int64, shape `(size,)`.

    Raises:
        ValueError: If `labels` is not rank 1 or `size` is out of range.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(
            "`labels` must have shape (num_examples,). "
            f"Received: labels.shape={labels.shape}."
        )
    if not 1 <= size <= len(labels):
        raise ValueError(
            f"`size` must be from 1 to {len(labels)}, the number of labels. "
            f"Received: size={size}."
        )
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    # The place of each example in the queue of its class. Taking all first
    # places, then all second places and so on keeps the classes balanced.
    place = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        queue = shuffled[labels[shuffled] == label]
        place[queue] = np.arange(len(queue))
    chosen = shuffled[np.argsort(place[shuffled], kind="stable")][:size]
    return np.sort(chosen)

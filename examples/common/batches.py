"""Shuffled training batches that are the same after a resume."""

from typing import Any

import keras
import numpy as np


class ShuffledBatches(keras.utils.PyDataset):
    """Full batches in an order that is new in each epoch.

    Order and random changes are a function of seed, epoch and batch alone, so
    a run that was killed and resumed sees what it would have seen. An epoch
    ends with the last full batch. Subclasses define `__getitem__`.

    Args:
        num_images: Number of images.
        batch_size: Images per batch, at most `num_images`.
        seed: Int >= 0.

    Attributes:
        epoch: The epoch, counted from 0.
    """

    def __init__(self, num_images: int, *, batch_size: int, seed: int) -> None:
        super().__init__()
        self._num_images = num_images
        self._batch_size = batch_size
        self._seed = seed
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Draws the order of an epoch, counted from 0."""
        self.epoch = epoch
        generator = np.random.default_rng((self._seed, epoch))
        self._order = generator.permutation(self._num_images)

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return self._num_images // self._batch_size

    def chosen(self, index: int) -> np.ndarray:
        """Returns the numbers of the images of a batch."""
        start = index * self._batch_size
        return self._order[start : start + self._batch_size]

    def generator(self, index: int) -> np.random.Generator:
        """Returns where the random changes of a batch come from."""
        # A trailing zero would give the numbers of the order.
        return np.random.default_rng((self._seed, self.epoch, index + 1))


class EpochOrder(keras.callbacks.Callback):
    """Tells the batches which epoch begins, by their `begin_epoch`."""

    def __init__(self, batches: Any) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Sets the order before the first batch is drawn."""
        self._batches.begin_epoch(epoch)


def random_flips(
    images: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Mirrors each image horizontally with probability one half."""
    is_flipped = generator.random(len(images)) < 0.5
    return np.where(is_flipped[:, None, None, None], images[:, :, ::-1], images)

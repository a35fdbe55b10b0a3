"""Training batches: shuffled, augmented, the same after a resume."""

import keras
import numpy as np


class TrainingBatches(keras.utils.PyDataset):
    """Full batches of augmented images with one-hot labels.

    Order and augmentation are a function of seed, epoch and batch alone, so
    a run that was killed and resumed sees what it would have seen. An epoch
    ends with the last full batch; the order is new in each.

    Args:
        images: Uint8 array `(num_images, height, width, channels)`.
        labels: Integer array `(num_images,)`.
        num_classes: Length of the one-hot labels.
        batch_size: Images per batch, at most `num_images`.
        augmentation: `"none"`, `"crop"` or `"crop_flip"`.
        seed: Int >= 0.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        num_classes: int,
        batch_size: int,
        augmentation: str,
        seed: int,
    ) -> None:
        super().__init__()
        self._padding = 4 if images.shape[1] >= 16 else 1
        self._images = images
        self._targets = one_hot(labels, num_classes)
        self._batch_size = batch_size
        self._augmentation = augmentation
        self._seed = seed
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Draws the order of an epoch, counted from 0."""
        self._epoch = epoch
        generator = np.random.default_rng((self._seed, epoch))
        self._order = generator.permutation(len(self._images))

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return len(self._images) // self._batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns batch `index` of the present epoch."""
        start = index * self._batch_size
        chosen = self._order[start : start + self._batch_size]
        images = self._images[chosen]
        if self._augmentation != "none":
            generator = np.random.default_rng((self._seed, self._epoch, index))
            images = random_crops(images, self._padding, generator)
            if self._augmentation == "crop_flip":
                images = random_flips(images, generator)
        return images.astype("float32"), self._targets[chosen]


class EpochOrder(keras.callbacks.Callback):
    """Tells the batches which epoch begins."""

    def __init__(self, batches: TrainingBatches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Sets the order before the first batch is drawn."""
        self._batches.begin_epoch(epoch)


def one_hot(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns float32 rows with a one at the label."""
    return np.eye(num_classes, dtype="float32")[labels]


def random_crops(
    images: np.ndarray, padding: int, generator: np.random.Generator
) -> np.ndarray:
    """Crops each image at a random place after mirroring at its borders.

    The published program pads "symmetrically": the border pixel is repeated.
    """
    count, height, width, _ = images.shape
    border = (padding, padding)
    padded = np.pad(images, ((0, 0), border, border, (0, 0)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, (height, width), axis=(1, 2)
    )
    rows, columns = generator.integers(0, 2 * padding + 1, (2, count))
    # The windows come last: (image, row, column, channel, height, width).
    crops = windows[np.arange(count), rows, columns]
    return np.moveaxis(crops, 1, -1)


def random_flips(
    images: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Mirrors each image horizontally with probability one half."""
    is_flipped = generator.random(len(images)) < 0.5
    return np.where(is_flipped[:, None, None, None], images[:, :, ::-1], images)

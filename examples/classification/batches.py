"""Training batches of the image program: augmented, one-hot labels."""

import numpy as np

from common.batches import ShuffledBatches, random_flips


class TrainingBatches(ShuffledBatches):
    """Full batches of augmented images with one-hot labels.

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
        super().__init__(len(images), batch_size=batch_size, seed=seed)
        self._padding = 4 if images.shape[1] >= 16 else 1
        self._images = images
        self._targets = one_hot(labels, num_classes)
        self._augmentation = augmentation

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns batch `index` of the present epoch."""
        chosen = self.chosen(index)
        images = self._images[chosen]
        if self._augmentation != "none":
            generator = self.generator(index)
            images = random_crops(images, self._padding, generator)
            if self._augmentation == "crop_flip":
                images = random_flips(images, generator)
        return images.astype("float32"), self._targets[chosen]


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

"""Batches of real images with the noise of a training step."""

from typing import Any

import keras
import numpy as np

from common.batches import ShuffledBatches, random_flips
from generation.networks import NOISE_SIZE


class GANBatches(keras.utils.PyDataset):
    """Real images in [-1, 1], and noise for each side's update.

    A stream of batches: an epoch here is a number of steps, and may end in
    the middle of a pass over the images or hold several. Everything drawn is
    a function of seed and step alone.

    Args:
        images: uint8, shape `(num, height, width, channels)`.
        batch_size: Images per batch, at most `num`.
        steps_per_epoch: Batches of an epoch.
        flip: Whether images are mirrored at random.
        seed: Int >= 0.
    """

    def __init__(
        self,
        images: np.ndarray,
        *,
        batch_size: int,
        steps_per_epoch: int,
        flip: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self._images = images
        self._steps_per_epoch = steps_per_epoch
        self._flip = flip
        self._passes = ShuffledBatches(
            len(images), batch_size=batch_size, seed=seed
        )
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Goes to the first step of an epoch, counted from 0."""
        self._first_step = epoch * self._steps_per_epoch

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return self._steps_per_epoch

    def __getitem__(self, index: int) -> Any:
        """Returns images and two arrays of noise, in a tuple of its own."""
        passes = self._passes
        number, place = divmod(self._first_step + index, len(passes))
        if number != passes.epoch:
            passes.begin_epoch(number)
        generator = passes.generator(place)
        images = self._images[passes.chosen(place)]
        if self._flip:
            images = random_flips(images, generator)
        noise = generator.normal(size=(2, len(images), NOISE_SIZE))
        return ((to_network(images), *noise.astype("float32")),)


def to_network(images: np.ndarray) -> np.ndarray:
    """Brings pixels 0 to 255 to [-1, 1], float32."""
    return images.astype("float32") / 127.5 - 1.0


def to_pixels(images: np.ndarray) -> np.ndarray:
    """Brings [-1, 1] to pixels 0 to 255, uint8, rounded."""
    scaled = np.clip((images + 1.0) * 127.5, 0.0, 255.0)
    return np.round(scaled).astype("uint8")


def fixed_noise(count: int, seed: int) -> np.ndarray:
    """Returns noise that is the same for a seed, whatever the count."""
    generator = np.random.default_rng((seed, 1))
    return generator.normal(size=(count, NOISE_SIZE)).astype("float32")

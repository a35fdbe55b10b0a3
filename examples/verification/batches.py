"""Training batches of labelled images, for a model that takes the labels."""

import numpy as np

from common.batches import ShuffledBatches, random_flips
from common.dataset_types import DataError
from common.identity_data import Images


class IdentityBatches(ShuffledBatches):
    """Full batches of images with their identities, in and beside the input.

    Args:
        images: The images, decoded batch by batch if they lie on disk.
        identities: Integer array `(num_images,)`.
        batch_size: Images per batch.
        mirror: Whether half of the images are mirrored, at random.
        seed: Int >= 0.
    """

    def __init__(
        self,
        images: Images,
        identities: np.ndarray,
        *,
        batch_size: int,
        mirror: bool,
        seed: int,
    ) -> None:
        super().__init__(len(images), batch_size=batch_size, seed=seed)
        self._images = images
        self._identities = identities.astype("int32")
        self._mirror = mirror
        #: What kept a batch from being read. TensorFlow's input pipeline
        #: raises an error of its own in its place.
        self.error: DataError | None = None

    def __getitem__(
        self, index: int
    ) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Returns batch `index`: images and labels, and labels again."""
        chosen = self.chosen(index)
        try:
            images = self._images[chosen]
        except DataError as error:
            self.error = error
            raise
        if self._mirror:
            images = random_flips(images, self.generator(index))
        labels = self._identities[chosen]
        return (images.astype("float32"), labels), labels

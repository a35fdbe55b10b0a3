"""Scores of generated images by TensorFlow-GAN, on any backend."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.dataset_types import DataError
from generation.tensorflow_process import run_with_tensorflow


@dataclass(frozen=True)
class Scores:
    """What TensorFlow-GAN says of generated images.

    Attributes:
        classifier_score: From 1 to the number of classes, larger is better:
            the Inception Score, of whatever classifier. Mean over the parts.
        classifier_score_spread: Standard deviation over the parts.
        frechet_distance: Of the features to those of real images.
        kernel_distance: Squared maximum mean discrepancy of them, cubic
            kernel, mean over blocks of at most 1,000 images, ten blocks or
            more; without bias, so it can be below 0.
        kernel_distance_error: Its standard error over the blocks.
    """

    classifier_score: float
    classifier_score_spread: float
    frechet_distance: float
    kernel_distance: float
    kernel_distance_error: float


#: Logits `(num, classes)` and features `(num, dim)` of generated images.
Outputs = tuple[np.ndarray, np.ndarray]

#: Of fewer images there is no score.
LEAST_IMAGES = 4


def score(
    outputs: Sequence[Outputs],
    real_features: np.ndarray,
    *,
    num_splits: int = 10,
) -> list[Scores]:
    """Scores sets of generated images by a classifier's logits and features.

    Images are shuffled first, always alike: parts and blocks of images that
    are sorted by class would be scored as if they held one class.

    Args:
        outputs: For each set what the classifier says of its images.
        real_features: Of real images, shape `(num_real, dim)`.
        num_splits: Number of parts, 10 in the literature; at most the number
            of generated images.

    Returns:
        The scores of each set.

    Raises:
        DataError: If an array is unusable, or TensorFlow-GAN is not
            installed or does not fit to TensorFlow.
    """
    arrays = {"real_features": _shuffled(real_features, 1)}
    for index, (logits, features) in enumerate(outputs):
        if len(logits) != len(features):
            raise DataError(
                "`logits` and `features` must be of the same images. Received: "
                f"{len(logits)} and {len(features)} rows."
            )
        arrays[f"logits_{index}"] = _shuffled(logits, 0)
        arrays[f"features_{index}"] = _shuffled(features, 0)
        if not 1 <= num_splits <= len(logits):
            raise DataError(
                f"{len(logits)} images cannot be scored in {num_splits} parts. "
                "Give a larger --scored."
            )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "arrays.npz", Path(folder) / "scores"
        np.savez(source, **arrays)
        run_with_tensorflow(
            "tfgan_scores.py", str(source), str(num_splits), str(target)
        )
        return [Scores(**found) for found in json.loads(target.read_text())]


def _shuffled(array: np.ndarray, seed: int) -> np.ndarray:
    """Returns rows in a random order that depends on their number only."""
    is_table = array.ndim == 2 and len(array) >= LEAST_IMAGES
    if not is_table or not np.isfinite(array).all():
        raise DataError(
            f"Scores need finite numbers of {LEAST_IMAGES} images or more, "
            f"shape (num, dim). Received: shape={array.shape}."
        )
    order = np.random.default_rng(seed).permutation(len(array))
    return array[order].astype("float32")

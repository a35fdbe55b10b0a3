"""Scores of generated images by TensorFlow-GAN, on any backend."""

import json
import tempfile
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


def score(
    logits: np.ndarray,
    features: np.ndarray,
    real_features: np.ndarray,
    *,
    num_splits: int = 10,
) -> Scores:
    """Scores generated images by logits and features of a classifier.

    Images are shuffled first, always alike: parts and blocks of images that
    are sorted by class would be scored as if they held one class.

    Args:
        logits: Of generated images, shape `(num, classes)`.
        features: Of generated images, shape `(num, dim)`.
        real_features: Of real images, shape `(num_real, dim)`.
        num_splits: Number of parts, 10 in the literature; at most the number
            of generated images.

    Returns:
        The scores.

    Raises:
        DataError: If an array is unusable, or TensorFlow-GAN is not
            installed or does not fit to TensorFlow.
    """
    arrays = {
        "logits": logits,
        "features": features,
        "real_features": real_features,
    }
    for name, array in arrays.items():
        if array.ndim != 2 or len(array) < 4 or not np.isfinite(array).all():
            raise DataError(
                f"`{name}` must be finite numbers of four images or more, "
                f"shape (num, dim). Received: shape={array.shape}."
            )
    if not 1 <= num_splits <= len(logits):
        raise DataError(
            f"{len(logits)} images cannot be scored in {num_splits} parts. "
            "Give a larger --scored."
        )
    if len(logits) != len(features):
        raise DataError(
            "`logits` and `features` must be of the same images. Received: "
            f"{len(logits)} and {len(features)} rows."
        )
    order = np.random.default_rng(0).permutation(len(logits))
    arrays["logits"], arrays["features"] = logits[order], features[order]
    arrays["real_features"] = np.random.default_rng(1).permutation(
        real_features
    )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "arrays.npz", Path(folder) / "scores"
        np.savez(source, **{k: v.astype("float32") for k, v in arrays.items()})
        run_with_tensorflow(
            "tfgan_scores.py", str(source), str(num_splits), str(target)
        )
        return Scores(**json.loads(target.read_text()))

"""Embeddings of images, and how well they verify pairs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from common.dataset_types import DataError
from common.identity_data import Images, Pairs, Subset
from keras_mhe import analysis
from keras_mhe.functional import hyperspherical_energy
from keras_mhe.metrics import Verification, verify_pairs

#: Images that are computed at once.
_BLOCK = 256


def embed(
    network: keras.Model, images: Images, *, mirror: bool = False
) -> np.ndarray:
    """Returns embeddings, float32, shape `(num_images, embedding_size)`.

    Args:
        network: The embedding network.
        images: The images, uint8.
        mirror: Whether to append the embedding of the mirror image, as
            published: the result is twice as long.
    """
    parts = []
    for pixels in blocks(images):
        features = outputs(network, pixels)
        if mirror:
            mirrored = outputs(
                network, np.ascontiguousarray(pixels[:, :, ::-1])
            )
            features = np.concatenate([features, mirrored], axis=1)
        parts.append(features)
    return np.concatenate(parts)


def blocks(images: Images) -> Iterator[np.ndarray]:
    """Yields all images as float32, in blocks that fit into memory."""
    for start in range(0, len(images), _BLOCK):
        yield images[start : start + _BLOCK].astype("float32")


def outputs(network: keras.Model, pixels: np.ndarray) -> np.ndarray:
    """Returns what a network makes of at most one block of images.

    The block is filled up, so that compiled networks see one shape only.
    """
    missing = _BLOCK - len(pixels)
    filled = np.pad(pixels, [(0, missing), (0, 0), (0, 0), (0, 0)])
    return network.predict_on_batch(filled)[: len(pixels)]


def verify(
    network: keras.Model, images: Images, pairs: Pairs, *, mirror: bool
) -> Verification:
    """Scores pairs of images by the published protocol.

    Cosines of centered embeddings, the threshold of a fold chosen on the
    other folds.

    Raises:
        DataError: If an embedding is not finite.
    """
    used, places = np.unique([pairs.first, pairs.second], return_inverse=True)
    embeddings = embed(network, Subset(images, used), mirror=mirror)
    if not np.isfinite(embeddings).all():
        raise DataError(
            "the network has diverged: embeddings are not finite. Lower "
            "--learning_rate or --strength, with another --output."
        )
    first, second = embeddings[places.reshape(2, -1)]
    return verify_pairs(
        first,
        second,
        pairs.is_same,
        folds=pairs.folds,
        center=True,
        false_positive_rates=(1e-2, 1e-3),
    )


def scores_of(result: Verification) -> dict[str, Any]:
    """Returns the scores by the names that they have in JSON files."""
    return {
        "verification_accuracy": result.accuracy,
        "verification_spread_of_folds": float(result.accuracy_of_folds.std()),
        "equal_error_rate": result.eer,
        "auc": result.auc,
        "tpr_at_fpr": {
            f"{rate:g}": tpr for rate, tpr in result.tpr_at_fpr.items()
        },
    }


@dataclass(frozen=True)
class ClassVectors:
    """How diverse the class vectors of a head are.

    Attributes:
        energy_gap: logarithmic energy, 0 at the proven bound and 1 for random
            directions.
        smallest_angle: Between any two, in degrees.
        mean_nearest_angle: Mean over the classes of the angle to the nearest
            other class, in degrees.
    """

    energy_gap: float
    smallest_angle: float
    mean_nearest_angle: float


def class_vectors(kernel: np.ndarray) -> ClassVectors:
    """Measures the columns of a head's kernel, shape `(dim, classes)`."""
    dim, count = kernel.shape
    energy = float(
        keras.ops.convert_to_numpy(hyperspherical_energy(kernel, power=0))
    )
    units = kernel / np.linalg.norm(kernel, axis=0)
    nearest = np.empty(count)
    for start in range(0, count, _BLOCK):
        cosines = units[:, start : start + _BLOCK].T @ units
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -1.0
        nearest[start : start + _BLOCK] = cosines.max(axis=1)
    angles = np.degrees(np.arccos(np.clip(nearest, -1.0, 1.0)))
    return ClassVectors(
        energy_gap=float(
            analysis.energy_gap(energy, num_neurons=count, dim=dim, power=0)
        ),
        smallest_angle=float(angles.min()),
        mean_nearest_angle=float(angles.mean()),
    )

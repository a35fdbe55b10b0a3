"""Scores of generators and of real images by a classifier's features."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from common.checkpoints import load_model
from common.dataset_types import DataError
from common.image_data import ImageData
from common.run_folder import versions
from common.subsets import evenly_chosen
from generation.batches import to_pixels
from generation.classifier import Classifier
from generation.networks import NOISE_SIZE
from generation.scores import Outputs, Scores, score

#: Features that wait in memory to be scored in one process, which takes
#: seconds to start.
_MOST_BYTES = 2**29


def load_generator(path: Path) -> keras.Model:
    """Loads a saved generator.

    Raises:
        DataError: If the file is missing, damaged or something else.
    """
    advice = "Give a generator.keras that this program wrote."
    model = load_model(path, advice)
    if model.input_shape != (None, NOISE_SIZE) or len(model.output_shape) != 4:
        raise DataError(f"{path} is not a generator of this program. {advice}")
    return model


def generate(generator: keras.Model, count: int, seed: int) -> np.ndarray:
    """Returns `count` generated images, uint8, the same for a seed."""
    noise = np.random.default_rng((seed, 2)).normal(size=(count, NOISE_SIZE))
    return to_pixels(
        generator.predict(noise.astype("float32"), batch_size=500, verbose=0)
    )


def score_images(
    images: np.ndarray,
    classifier: Classifier,
    real_features: np.ndarray,
    splits: int,
) -> Scores:
    """Scores images against the features of real ones."""
    (scores,) = score([classifier(images)], real_features, num_splits=splits)
    return scores


def real_features(
    classifier: Classifier, data: ImageData, count: int
) -> np.ndarray:
    """Returns features of at most `count` training images."""
    chosen = evenly_chosen(len(data.x_train), count)
    return classifier(data.x_train[chosen])[1]


def protocol(
    classifier: Classifier,
    generated_images: int,
    real_images: int,
    splits: int,
    seed: int,
) -> dict[str, Any]:
    """Returns what a score depends on, to stand beside it."""
    return {
        "classifier": classifier.name,
        "classifier_sha256": classifier.sha256,
        "classifier_test_accuracy": classifier.test_accuracy,
        "generated_images": generated_images,
        "real_images": real_images,
        "splits": splits,
        "seed": seed,
        "versions": versions("tensorflow", "tensorflow-cpu", "tensorflow-gan"),
    }


def score_snapshots(
    snapshots: Sequence[Path],
    classifier: Classifier,
    data: ImageData,
    *,
    count: int,
    splits: int,
    seed: int,
) -> dict[str, Any]:
    """Scores the snapshots of a run.

    Args:
        snapshots: Saved generators, by step; the last is that of the end.
        classifier: What scores.
        data: The data set.
        count: Generated images for each score.
        splits: Parts for the spread of the classifier score.
        seed: Seed of the noise.

    Returns:
        The protocol; the scores of the last snapshot, and apart those of the
        one with the best classifier score; and those of each.
    """
    real = real_features(classifier, data, count)
    scores: dict[str, Any] = {}
    waiting: dict[str, Outputs] = {}
    for path in snapshots:
        images = generate(load_generator(path), count, seed)
        waiting[path.stem] = classifier(images)
        keras.utils.clear_session()
        size = sum(a.nbytes + b.nbytes for a, b in waiting.values())
        if path == snapshots[-1] or size > _MOST_BYTES:
            found = score(list(waiting.values()), real, num_splits=splits)
            scores |= zip(waiting, map(asdict, found), strict=True)
            waiting.clear()
    best = max(scores, key=lambda name: scores[name]["classifier_score"])
    return {
        "protocol": protocol(classifier, count, len(real), splits, seed),
        "last": scores[snapshots[-1].stem],
        "best": {"snapshot": best, **scores[best]},
        "snapshots": scores,
    }

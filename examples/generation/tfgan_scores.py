"""TensorFlow-GAN's scores of logits and features in a file.

    python tfgan_scores.py ARRAYS.npz NUM_SPLITS SCORES.json

A program of its own, started by `generation.scores`, so that TensorFlow need
not live in a process that trains on another backend. The arrays are
`real_features` and, for each set of generated images, `logits_K` and
`features_K`, K from 0; the scores are a list in this order.

TensorFlow-GAN 2.1.0, the last version, was written for a TensorFlow that had
estimators. It asks for them on import only: stand-ins are enough.
"""

import json
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np


def import_tfgan() -> Any:
    """Imports TensorFlow-GAN under a current TensorFlow.

    Returns:
        The module `tensorflow_gan`.

    Raises:
        ImportError: If a package is missing or the versions do not fit.
    """
    import tensorflow as tf

    name = "tensorflow_gan.python.estimator"
    sys.modules.setdefault(name, types.ModuleType(name))
    if not hasattr(tf, "estimator"):
        tf.estimator = types.SimpleNamespace(SessionRunHook=object)
    with warnings.catch_warnings():
        # tensorflow-hub reads its own version with `pkg_resources`.
        warnings.simplefilter("ignore")
        import tensorflow_gan

    return tensorflow_gan


def score(
    logits: np.ndarray,
    features: np.ndarray,
    real_features: np.ndarray,
    num_splits: int,
) -> dict[str, float]:
    """Scores generated images by what a classifier says of them.

    Args:
        logits: Of generated images, shape `(num, classes)`.
        features: Of generated images, shape `(num, dim)`.
        real_features: Of real images, shape `(num_real, dim)`.
        num_splits: Parts of the generated images of which the classifier
            score is taken one by one.

    Returns:
        `classifier_score` and its `_spread` over the parts, 1 to the number
        of classes, larger is better (the Inception Score if the classifier
        is Inception); `frechet_distance`; and `kernel_distance` with its
        standard error, 0 for equal distributions.
    """
    import tensorflow as tf

    metrics = import_tfgan().eval
    parts = [
        float(metrics.classifier_score_from_logits(tf.constant(part)))
        for part in np.array_split(logits, num_splits)
    ]
    real, generated = tf.constant(real_features), tf.constant(features)
    frechet = metrics.frechet_classifier_distance_from_activations
    kernel = metrics.kernel_classifier_distance_and_std_from_activations
    kernel_distance, kernel_error = kernel(
        real, generated, max_block_size=block_size(len(real), len(generated))
    )
    return {
        "classifier_score": float(np.mean(parts)),
        "classifier_score_spread": float(np.std(parts)),
        "frechet_distance": float(frechet(real, generated)),
        "kernel_distance": float(kernel_distance),
        "kernel_distance_error": float(kernel_error),
    }


def block_size(num_real: int, num_generated: int) -> int:
    """Returns how many images a block has at most, of the larger set."""
    larger, smaller = max(num_real, num_generated), min(num_real, num_generated)
    blocks = max(10, -(-larger // 1000))
    # Each block takes two images or more of each set.
    return -(-larger // max(2, min(blocks, smaller // 2)))


def main(arrays_path: str, num_splits: str, scores_path: str) -> None:
    """Writes the scores of the arrays in a file."""
    with np.load(arrays_path, allow_pickle=False) as arrays:
        scores = [
            score(
                arrays[f"logits_{index}"],
                arrays[f"features_{index}"],
                arrays["real_features"],
                int(num_splits),
            )
            for index in range(len(arrays.files) // 2)
        ]
    Path(scores_path).write_text(json.dumps(scores))


if __name__ == "__main__":
    main(*sys.argv[1:])

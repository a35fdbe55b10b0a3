"""The GAN program with the smallest settings, and scores without TensorFlow."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from generation import classifier, scores, tensorflow_process

#: Scoring runs in a process of its own, on every backend alike.
needs_tfgan = pytest.mark.skipif(
    not all(
        importlib.util.find_spec(name)
        for name in ("tensorflow", "tensorflow_gan")
    ),
    reason="needs the extra `gan`, installed for TensorFlow",
)
SMALL = [
    "--width=0.05",
    "--batch_size=16",
    "--steps=7",
    "--steps_per_epoch=3",
    "--snapshots=2",
]


def fast_classifier(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Keeps classifiers in `home`, and trains them for a few steps."""
    patch.setenv("KERAS_HOME", str(home))
    patch.setattr(classifier, "_EPOCHS", 1)
    patch.setattr(classifier, "_MIN_STEPS", 1)


def scores_by_numpy(patch: pytest.MonkeyPatch) -> None:
    """Lets NumPy score instead of TensorFlow-GAN, in this process."""

    def run(program: str, source: str, splits: str, target: str) -> None:
        assert program == "tfgan_scores.py"
        found = []
        with np.load(source) as arrays:
            for index in range(len(arrays.files) // 2):
                logits = arrays[f"logits_{index}"]
                parts = np.array_split(logits, int(splits))
                each = [numpy_classifier_score(part) for part in parts]
                both = arrays["real_features"], arrays[f"features_{index}"]
                found.append(
                    {
                        "classifier_score": float(np.mean(each)),
                        "classifier_score_spread": float(np.std(each)),
                        "frechet_distance": float(
                            numpy_frechet_distance(*both)
                        ),
                        "kernel_distance": float(numpy_kernel_distance(*both)),
                        "kernel_distance_error": 0.0,
                    }
                )
        Path(target).write_text(json.dumps(found))

    patch.setattr(scores, "run_with_tensorflow", run)
    patch.setattr(tensorflow_process, "PACKAGES", {})


def numpy_classifier_score(logits: np.ndarray) -> float:
    """Returns exp of the mean divergence of labels from their mean."""
    p = np.exp(logits.astype("float64"))
    p /= p.sum(axis=1, keepdims=True)
    divergence = np.sum(p * (np.log(p) - np.log(p.mean(axis=0))), axis=1)
    return np.exp(divergence.mean())


def numpy_frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the distance of the normal distributions that fit best."""
    one, other = one.astype("float64"), other.astype("float64")
    a, b = np.cov(one.T), np.cov(other.T)
    # The trace of a matrix' root; products of covariances have eigenvalues
    # that are real and >= 0.
    root = np.sqrt(np.linalg.eigvals(a @ b).real.clip(min=0.0)).sum()
    difference = one.mean(axis=0) - other.mean(axis=0)
    return difference @ difference + np.trace(a + b) - 2.0 * root


def numpy_kernel_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Unbiased squared discrepancy with the kernel (x.y / dim + 1)**3."""
    one, other = one.astype("float64"), other.astype("float64")

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1.0) ** 3

    def within(x: np.ndarray) -> float:
        table = kernel(x, x)
        count = len(x)
        return (table.sum() - np.trace(table)) / (count * (count - 1))

    return within(one) + within(other) - 2.0 * kernel(one, other).mean()

"""TensorFlow-GAN's scores against NumPy, and without TensorFlow-GAN."""

import subprocess
import sys

import numpy as np
import pytest

from common.dataset_types import DataError
from generation import scores, tfgan_scores
from support.gan_program import (
    needs_tfgan,
    numpy_classifier_score,
    numpy_frechet_distance,
    numpy_kernel_distance,
    scores_by_numpy,
)

RNG = np.random.default_rng(0)
LOGITS = (3.0 * RNG.normal(size=(400, 10))).astype("float32")
FEATURES = (1.3 * RNG.normal(size=(400, 6)) + 0.2).astype("float32")
REAL = RNG.normal(size=(500, 6)).astype("float32")


@needs_tfgan
@pytest.mark.parametrize("is_sorted", [False, True])
def test_scores(is_sorted):
    # The order of the images does not matter but for the parts they are in.
    logits, features, real = LOGITS, FEATURES, REAL
    if is_sorted:
        order = np.argsort(logits[:, 0])
        logits, features = logits[order], features[order]
        real = real[np.argsort(real[:, 0])]
    # The second of two sets.
    outputs = [(LOGITS[:100], FEATURES[:100]), (logits, features)]
    _, result = scores.score(outputs, real, num_splits=4)
    order = np.random.default_rng(0).permutation(400)
    logits, features = logits[order], features[order]
    real = np.random.default_rng(1).permutation(real)
    parts = [numpy_classifier_score(p) for p in np.array_split(logits, 4)]
    np.testing.assert_allclose(
        result.classifier_score, np.mean(parts), rtol=1e-5
    )
    np.testing.assert_allclose(
        result.classifier_score_spread, np.std(parts), rtol=1e-3
    )
    np.testing.assert_allclose(
        result.frechet_distance,
        numpy_frechet_distance(real, features),
        rtol=1e-4,
    )
    blocks = [
        numpy_kernel_distance(one, other)
        for one, other in zip(
            np.split(real, 10), np.split(features, 10), strict=True
        )
    ]
    np.testing.assert_allclose(
        result.kernel_distance, np.mean(blocks), rtol=1e-4
    )
    np.testing.assert_allclose(
        result.kernel_distance_error,
        np.std(blocks, ddof=1) / np.sqrt(10),
        rtol=1e-3,
    )


def test_sorted_images_are_scored_like_shuffled_ones(monkeypatch):
    scores_by_numpy(monkeypatch)
    certain = 9.0 * np.eye(10, dtype="float32")[np.arange(400) // 40]
    (result,) = scores.score([(certain, FEATURES)], REAL, num_splits=10)
    assert result.classifier_score > 5.0


@pytest.mark.parametrize(
    ("num_real", "num_generated", "expected"),
    [
        (400, 500, 50),
        (50_000, 50_000, 1000),
        (10_000, 10_000, 1000),
        (60_000, 10_000, 1000),
        (1_437, 2_000, 200),
        (4, 9, 5),
        (1000, 6, 334),
    ],
)
def test_blocks_of_the_kernel_distance(num_real, num_generated, expected):
    size = tfgan_scores.block_size(num_real, num_generated)
    assert size == expected
    blocks = -(-max(num_real, num_generated) // size)
    assert blocks >= 2
    assert min(num_real, num_generated) // blocks >= 2


@needs_tfgan
def test_best_and_worst_scores():
    certain = 100.0 * np.eye(10, dtype="float32")[np.arange(400) % 10]
    real = REAL[:400]
    (result,) = scores.score([(certain, real)], real, num_splits=1)
    np.testing.assert_allclose(result.classifier_score, 10.0, rtol=1e-5)
    np.testing.assert_allclose(result.frechet_distance, 0.0, atol=1e-3)
    zeros = np.zeros((400, 10))
    (same,) = scores.score([(zeros, FEATURES)], REAL, num_splits=1)
    np.testing.assert_allclose(same.classifier_score, 1.0, rtol=1e-6)


@needs_tfgan
def test_tfgan_is_imported_under_this_tensorflow():
    code = (
        "import tfgan_scores; tfgan = tfgan_scores.import_tfgan(); "
        "print(tfgan.__version__)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tfgan_scores.__file__.rpartition("/")[0],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.stdout.strip() == "2.1.0", finished.stderr


def test_missing_packages_are_named(monkeypatch, tmp_path):
    # A TensorFlow that cannot be imported comes first.
    (tmp_path / "tensorflow.py").write_text("raise ImportError('no module')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DataError, match=r"no module.*\.\[gan\]") as error:
        scores.score([(LOGITS, FEATURES)], REAL)
    assert len(str(error.value).splitlines()) == 1


def test_a_process_that_dies_without_a_message(monkeypatch):
    killed = subprocess.CompletedProcess([], -9, stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: killed)
    with pytest.raises(
        DataError, match=r"tfgan_scores\.py ended .* code -9\. Lower --scored"
    ):
        scores.score([(LOGITS, FEATURES)], REAL)


@pytest.mark.parametrize(
    "features",
    [np.zeros(400), np.zeros((400, 5, 1)), np.full((400, 5), np.nan)],
)
def test_unusable_arrays(features):
    with pytest.raises(DataError, match="need finite numbers"):
        scores.score([(LOGITS, features)], REAL)


def test_logits_and_features_of_different_images():
    with pytest.raises(DataError, match="400 and 399 rows"):
        scores.score([(LOGITS, FEATURES[1:])], REAL)


@pytest.mark.parametrize("num_splits", [0, 401])
def test_parts_without_images(num_splits):
    with pytest.raises(DataError, match=f"400 images .* in {num_splits} parts"):
        scores.score([(LOGITS, FEATURES)], REAL, num_splits=num_splits)

"""Scores by Inception, with a small network in the same format."""

import importlib.util
import os

import numpy as np
import pytest

import data
import mhe_gan
import runs
import score_gan
from support.inception_stand_in import PART, WEIGHTS, write_module

needs_tfgan = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("tensorflow", "tensorflow_gan"))),
    reason="needs the extra `gan`",
)
SAMPLES = data.load_images("digits").x_test[:80]


def write_samples(folder, images=SAMPLES):
    np.savez(folder / "samples.npz", images=images)
    return folder / "samples.npz"


def features_of(images):
    """The stand-in's: the mean of a part, enlarged as by TensorFlow 1."""

    def weights(side, part):
        place = np.arange(part) * side / 299
        below = np.floor(place).astype(int)
        table = np.zeros((part, side))
        table[np.arange(part), below] = 1 - (place - below)
        table[np.arange(part), np.minimum(below + 1, side - 1)] += place - below
        return table.mean(axis=0)

    sides = map(weights, images.shape[1:3], PART)
    mean = np.einsum("h,w,nhwc->nc", *sides, images.astype("float64"))
    return (np.broadcast_to(mean, (len(images), 3)) - 128) / 128


def refused(path, capsys, inception="none"):
    arguments = [str(path), "--dataset=digits", f"--inception={inception}"]
    assert score_gan.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modules") / "inception"
    write_module(str(folder))
    return folder


@needs_tfgan
@pytest.mark.parametrize("name", ["inception", "inception_named"])
def test_scores_are_those_of_the_formulas(name, module, tmp_path, capsys):
    path = write_samples(tmp_path)
    inception = module.with_name(name)
    arguments = [str(path), "--dataset=digits", f"--inception={inception}"]
    assert score_gan.main(arguments) == 0
    found = runs.read_json(tmp_path / "samples.json")
    assert (found["images"], found["real_images"]) == (80, 80)
    shuffled = np.random.default_rng(0).permutation(SAMPLES)
    features = features_of(shuffled)
    parts = np.split(features @ WEIGHTS, 10)
    scores = [mhe_gan.classifier_score(part) for part in parts]
    assert found["inception_score"] == pytest.approx(np.mean(scores), rel=1e-4)
    spread = found["inception_score_spread"]
    assert spread == pytest.approx(np.std(scores), rel=1e-2)
    images = data.load_images("digits")
    real, _ = data.subset(images.x_train, images.y_train, 80, seed=0)
    distance = mhe_gan.frechet_distance(features_of(real), features)
    assert found["frechet_distance"] == pytest.approx(distance, abs=1e-3)
    error = found["kernel_distance_error"]
    assert abs(found["kernel_distance"]) < 5 * error < 0.1
    (tmp_path / "saved_model.pb").write_bytes(b"half")
    assert "cannot be loaded" in refused(path, capsys, inception=tmp_path)


@pytest.mark.once
def test_samples_that_cannot_be_scored(tmp_path, capsys):
    assert "is missing" in refused(tmp_path / "none.npz", capsys)
    os.mkfifo(tmp_path / "pipe.npz")
    assert "no regular file" in refused(tmp_path / "pipe.npz", capsys)
    # A pickle is not loaded.
    for images in SAMPLES.astype("float32"), np.array([{}] * 20):
        path = write_samples(tmp_path, images)
        assert "must be an NPZ file" in refused(path, capsys)
    path.write_bytes(path.read_bytes()[:200])
    assert "must be an NPZ file" in refused(path, capsys)
    path = write_samples(tmp_path, SAMPLES.repeat(2, axis=1))
    assert "of shape (16, 8, 1)" in refused(path, capsys)

"""Scores by Inception, with small networks in the same formats."""

import importlib.util
import os

import keras
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


def write_samples(folder, **arrays):
    np.savez(folder / "samples.npz", **(arrays or {"images": SAMPLES}))
    return folder / "samples.npz"


def enlarged_mean(images, *, shift, middle):
    """Mean of a part of images, bilinearly enlarged to 299 x 299, scaled."""

    def weights(side, part):
        place = (np.arange(299) + shift) * side / 299 - shift
        place = place.clip(0, side - 1)
        below = np.floor(place).astype(int)
        table = np.zeros((299, side))
        table[np.arange(299), below] = 1.0 - (place - below)
        table[np.arange(299), np.minimum(below + 1, side - 1)] += place - below
        return table[:part].mean(axis=0)

    sides = map(weights, images.shape[1:3], PART)
    mean = np.einsum("h,w,nhwc->nc", *sides, images.astype("float64"))
    return (np.broadcast_to(mean, (len(images), 3)) - middle) / middle


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modules") / "inception"
    write_module(str(folder))
    return folder


@needs_tfgan
@pytest.mark.parametrize("name", ["inception", "inception_named"])
def test_scores_are_those_of_the_formulas(name, module, tmp_path):
    path = write_samples(tmp_path)
    inception = module.with_name(name)
    arguments = [str(path), "--dataset=digits", f"--inception={inception}"]
    assert score_gan.main(arguments) == 0
    found = runs.read_json(tmp_path / "samples.json")
    assert (found["images"], found["real_images"]) == (80, 80)
    # The resize and the scale of TensorFlow 1.
    features = enlarged_mean(SAMPLES, shift=0.0, middle=128.0)
    order = np.random.default_rng(0).permutation(80)
    logits = (features @ WEIGHTS)[order]
    scores = [mhe_gan.classifier_score(x) for x in np.split(logits, 10)]
    assert found["inception_score"] == pytest.approx(np.mean(scores), rel=1e-4)
    spread = found["inception_score_spread"]
    assert spread == pytest.approx(np.std(scores), rel=1e-2)
    images = data.load_images("digits")
    real, _ = data.subset(images.x_train, images.y_train, 80, seed=0)
    real = enlarged_mean(real, shift=0.0, middle=128.0)
    distance = mhe_gan.frechet_distance(real, features)
    assert found["frechet_distance"] == pytest.approx(distance, abs=1e-3)
    error = found["kernel_distance_error"]
    assert abs(found["kernel_distance"]) < 5 * error < 0.1


def test_inception_of_keras(tmp_path, monkeypatch):
    def small(weights, classifier_activation):
        images = keras.Input((299, 299, 3))
        crop = ((0, 299 - PART[0]), (0, 299 - PART[1]))
        x = keras.layers.Cropping2D(crop)(images)
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
        dense = keras.layers.Dense(
            4, activation=classifier_activation, use_bias=False
        )
        model = keras.Model(images, dense(x))
        model.load_weights(weights) if weights else dense.set_weights([WEIGHTS])
        return model

    monkeypatch.setattr(keras.applications, "InceptionV3", small)
    path = tmp_path / "inception.weights.h5"
    small(None, None).save_weights(path)
    network = score_gan.load_inception(path)
    outputs = score_gan.outputs_of(network, SAMPLES[:60])
    features = enlarged_mean(SAMPLES[:60], shift=0.5, middle=127.5)
    for found, expected in zip(
        outputs, (features @ WEIGHTS, features), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(data.UserError, match="cannot be loaded"):
        score_gan.load_inception(path)


@pytest.mark.slow
def test_the_real_network_has_these_layers():
    with keras.StatelessScope(initialize_variables=False):
        network = keras.applications.InceptionV3(weights=None)
    assert network.output_shape == (None, 1000)
    assert network.get_layer("avg_pool").output.shape == (None, 2048)


def refused(path, capsys, *arguments, inception="none"):
    command = [str(path), "--dataset=digits", f"--inception={inception}"]
    assert score_gan.main([*command, *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_samples_that_cannot_be_scored(tmp_path, capsys):
    assert "is missing" in refused(tmp_path / "none.npz", capsys)
    os.mkfifo(tmp_path / "pipe.npz")
    assert "no regular file" in refused(tmp_path / "pipe.npz", capsys)
    for arrays in (
        {"pictures": SAMPLES},
        {"images": SAMPLES[:9]},
        {"images": SAMPLES.astype("float32")},
        {"images": np.array([{}] * 20)},  # A pickle, which is not loaded.
    ):
        path = write_samples(tmp_path, **arrays)
        assert "must be an NPZ file" in refused(path, capsys)
    path.write_bytes(path.read_bytes()[:200])
    assert "must be an NPZ file" in refused(path, capsys)
    path = write_samples(tmp_path, images=SAMPLES.repeat(2, axis=1))
    assert "of shape (16, 8, 1)" in refused(path, capsys)


@needs_tfgan
def test_inception_that_is_damaged(tmp_path, capsys):
    path = write_samples(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"half")
    line = refused(path, capsys, inception=tmp_path)
    assert "cannot be loaded" in line
    assert "is missing" in refused(path, capsys)


def test_without_tensorflow_gan(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(score_gan.sys.modules, "tensorflow_gan", None)
    line = refused(write_samples(tmp_path), capsys)
    assert line.endswith('Run: pip install ".[examples,gan]"')

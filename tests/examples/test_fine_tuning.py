"""The program that fine-tunes: what it does to neurons, what it leaves."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import compare
import data
import fine_tuning
import runs


def test_a_run_spreads_neurons_and_leaves_plain_keras(
    tmp_path, monkeypatch, capsys
):
    few = data.load_images("digits")
    x, y = data.subset(few.x_train, few.y_train, 200, seed=0)
    few = dataclasses.replace(few, x_train=x, y_train=y)
    monkeypatch.setattr(data, "load_images", lambda *_: few)
    command = ["--images=100", "--epochs=2", "--strength=10", "--seed=3"]
    command += [f"--output={tmp_path}"]
    assert fine_tuning.main(command) == 0
    folder = tmp_path / "strength_10_images_100_epochs_2_seed_3"
    metrics = runs.read_json(folder / runs.METRICS)
    model = keras.models.load_model(folder / runs.MODEL)
    assert model.losses == []
    before = runs.load_model(tmp_path / "pretrained.keras")
    gaps = [fine_tuning.audit(network) for network in (before, model)]
    for old, new in zip(*gaps, strict=True):
        assert new.gap < old.gap
        assert metrics[f"gap_of_{new.layer}"] == pytest.approx(new.gap)
    logits = model.predict(few.x_test.astype("float32"), verbose=0)
    accuracy = np.mean(logits.argmax(-1) == few.y_test)
    assert metrics["test_accuracy"] == pytest.approx(accuracy)
    for name in ("comparison.png", "angles.png"):
        with Image.open(folder / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 10
    written = (folder / runs.METRICS).stat().st_mtime_ns
    assert fine_tuning.main(command) == 0
    assert (folder / runs.METRICS).stat().st_mtime_ns == written
    assert compare.main([str(tmp_path)]) == 0
    assert "| fine_tuning | 3 |" in capsys.readouterr().out
    # The body is that of the file, and the head is new.
    model = fine_tuning.with_new_head(tmp_path / "pretrained.keras", 1.0)
    for name in ("conv_1", "conv_2", "features"):
        layers = (network.get_layer(name) for network in (model, before))
        for one, other in zip(*(x.get_weights() for x in layers), strict=True):
            np.testing.assert_array_equal(one, other)
    assert model.output_shape == (None, 10)
    assert len(model.losses) == 4


@pytest.mark.slow
def test_the_default_run_of_the_page(tmp_path):
    command = [sys.executable, fine_tuning.__file__]
    subprocess.run(command, cwd=tmp_path, check=True)
    metrics = list(map(runs.read_json, tmp_path.rglob(runs.METRICS)))
    assert len(metrics) == 3
    assert min(scores["test_accuracy"] for scores in metrics) > 0.9

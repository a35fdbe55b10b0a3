"""The program that fine-tunes: with and without MHE, and what it leaves."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import compare
import fine_tuning
import runs
from data import load_images

SHORT = ["--images=100", "--epochs=2", "--seed=3"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run without and one with MHE, of two epochs."""
    root = tmp_path_factory.mktemp("fine_tuning")
    for strength in (0, 1):
        arguments = [*SHORT, f"--strength={strength}", f"--output={root}"]
        assert fine_tuning.main(arguments) == 0
    return root


def folder_of(root, strength):
    return root / f"strength_{strength}_images_100_epochs_2_seed_3"


def test_energies_fall_where_mhe_was_and_are_gone_from_the_file(trained):
    gaps = {}
    for strength in (0, 1):
        folder = folder_of(trained, strength)
        metrics = runs.read_json(folder / runs.METRICS)
        model = keras.models.load_model(folder / runs.MODEL)
        assert model.losses == []
        (head,) = fine_tuning.keras_mhe.audit(model, layers=["classes"])
        gaps[strength] = {"classes": head.gap}
        for row in fine_tuning.audit(model):
            gaps[strength][row.layer] = row.gap
        for layer, gap in gaps[strength].items():
            assert metrics[f"gap_of_{layer}"] == pytest.approx(gap, rel=1e-4)
        x, y = (getattr(load_images("digits"), n) for n in ("x_test", "y_test"))
        labels = model.predict(x.astype("float32"), verbose=0).argmax(-1)
        accuracy = float(np.mean(labels == y))
        assert metrics["test_accuracy"] == pytest.approx(accuracy)
        for name in ("comparison.png", "angles.png"):
            with Image.open(folder / name) as picture:
                assert np.asarray(picture.convert("L")).std() > 10
    assert all(gaps[1][layer] < gaps[0][layer] for layer in gaps[0])


def test_the_body_is_of_the_file_and_the_head_is_new(trained):
    path = trained / "pretrained.keras"
    network = keras.models.load_model(path)
    model = fine_tuning.with_new_head(path, 1.0)
    for name in ("conv_1", "conv_2", "features"):
        for ours, theirs in zip(
            model.get_layer(name).get_weights(),
            network.get_layer(name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)
    assert model.output_shape == (None, 10)
    assert len(model.losses) == 4


def test_finished_runs_stay_and_are_compared(trained, capsys):
    before = (folder_of(trained, 0) / runs.METRICS).stat().st_mtime_ns
    arguments = [*SHORT, "--strength=0", f"--output={trained}"]
    assert fine_tuning.main(arguments) == 0
    assert (folder_of(trained, 0) / runs.METRICS).stat().st_mtime_ns == before
    assert compare.main([str(trained)]) == 0
    assert "| strength 1.0 | 3 |" in capsys.readouterr().out


@pytest.mark.slow
def test_the_default_run_of_the_page(tmp_path):
    command = [sys.executable, fine_tuning.__file__]
    subprocess.run(command, cwd=tmp_path, check=True)
    paths = list(tmp_path.rglob(runs.METRICS))
    assert len(paths) == 3
    for path in paths:
        assert runs.read_json(path)["test_accuracy"] > 0.9

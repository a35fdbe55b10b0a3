"""A run that is killed again and again ends like one that was not."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from cifar100 import main
from common.checkpoints import read_history
from support import image_program as program
from support.killing import run_and_kill


def kill(folder: Path, moment: str, count: int) -> None:
    """Continues the run in a process that dies at the given moment."""
    arguments = [*program.SMALL, f"--output={folder}"]
    run_and_kill("cifar100", arguments, moment, count)


def metrics_of(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main([*program.SMALL, f"--output={folder}"]) == 0
    return folder


def test_killed_run_ends_like_uninterrupted(
    tmp_path: Path, uninterrupted: Path
) -> None:
    folder = tmp_path / "run"
    # In the first epoch, before there is any backup.
    kill(folder, "batch", 2)
    assert not (folder / "backup.weights.h5").exists()
    # While the first best model is being written: its history row is there.
    kill(folder, "half_best", 1)
    assert not (folder / "best.keras").exists()
    # While the backup of the second epoch is being written.
    kill(folder, "half_backup", 2)
    assert len(read_history(folder)) == 2
    # After the backup of the second epoch was written, before it counts.
    kill(folder, "before_move", 1)
    # When all epochs are over, before the last model is written.
    kill(folder, "end", 1)
    assert not (folder / "last.keras").exists()

    assert main([*program.SMALL, f"--output={folder}"]) == 0

    whole, resumed = metrics_of(uninterrupted), metrics_of(folder)
    assert resumed["steps"] == whole["steps"] == program.STEPS
    assert resumed["epochs"] == whole["epochs"] == program.EPOCHS
    history, expected = read_history(folder), read_history(uninterrupted)
    assert history.dtype.names == expected.dtype.names
    np.testing.assert_array_equal(history["epoch"], [0, 1, 2])
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-3)
    models = [
        keras.models.load_model(place / "last.keras", compile=False)
        for place in (folder, uninterrupted)
    ]
    for weight, reference in zip(
        *(model.get_weights() for model in models), strict=True
    ):
        np.testing.assert_allclose(weight, reference, rtol=1e-2, atol=1e-3)
    assert not list(folder.glob(".unfinished*"))


def test_finished_run_is_not_run_again(uninterrupted: Path) -> None:
    before = {
        path.name: path.stat().st_mtime_ns
        for path in uninterrupted.iterdir()
        if path.suffix != ".png"
    }
    assert main([*program.SMALL, f"--output={uninterrupted}"]) == 0
    after = {
        path.name: path.stat().st_mtime_ns
        for path in uninterrupted.iterdir()
        if path.suffix != ".png"
    }
    assert after == before


def test_another_configuration_is_refused(
    uninterrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*program.SMALL, "--seed=1", f"--output={uninterrupted}"]
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert "seed=0" in message
    assert "seed=1" in message
    assert "--output" in message
    assert len(message.splitlines()) == 1

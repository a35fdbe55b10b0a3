"""A SphereFace+ run that is killed ends like one that was not."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from common.checkpoints import read_history
from sphereface_plus import main
from support.killing import run_and_kill
from support.small_identities import SMALL, write_identities


def test_killed_run_ends_like_uninterrupted(tmp_path: Path) -> None:
    people = write_identities(tmp_path / "people")
    arguments = [*SMALL, f"--data_dir={people}"]
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert main([*arguments, f"--output={whole}"]) == 0

    def kill(moment: str, count: int) -> None:
        output = f"--output={resumed}"
        run_and_kill("sphereface_plus", [*arguments, output], moment, count)

    # In the training without energy.
    kill("batch", 2)
    assert not (resumed / "pretraining" / "last.keras").exists()
    # In the second epoch with energy: 3 + 3 steps are done.
    kill("batch", 3 + 3 + 1)
    assert len(read_history(resumed)) == 1
    # While the backup of the second epoch is being written.
    kill("half_backup", 1)
    # When all epochs are over, before the last model is written.
    kill("end", 1)
    assert not (resumed / "last.keras").exists()
    # When the last model is there, before the metrics.
    kill("metrics", 1)
    assert (resumed / "last.keras").exists()
    assert not (resumed / "metrics.json").exists()
    assert main([*arguments, f"--output={resumed}"]) == 0

    expected, found = (
        json.loads((folder / "metrics.json").read_text())
        for folder in (whole, resumed)
    )
    for name in ("steps", "epochs"):
        assert found[name] == expected[name]
    assert found["auc"] == pytest.approx(expected["auc"], abs=1e-3)
    histories = [read_history(folder) for folder in (resumed, whole)]
    for name, tolerance in (("loss", 1e-4), ("lambda", 1e-6)):
        np.testing.assert_allclose(
            *(history[name] for history in histories), rtol=tolerance
        )
    names = [
        sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        for folder in (resumed, whole)
    ]
    # The pictures of the interrupted run are drawn at its end too.
    assert names[0] == names[1]
    models = [
        keras.models.load_model(folder / "last.keras", compile=False)
        for folder in (resumed, whole)
    ]
    assert [int(model.get_layer("head").step) for model in models] == [8, 8]
    for weight, reference in zip(
        *(model.get_weights() for model in models), strict=True
    ):
        np.testing.assert_allclose(weight, reference, rtol=1e-3, atol=1e-4)
    assert not list(resumed.rglob(".unfinished*"))


def test_another_configuration_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = write_identities(tmp_path / "people")
    folder = tmp_path / "run"
    arguments = [
        *SMALL[:-2],
        "--pretrain_epochs=0",
        "--steps=1",
        f"--data_dir={people}",
        f"--output={folder}",
    ]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "--seed=1"]) == 2
    message = capsys.readouterr().err
    assert "seed=0" in message
    assert "seed=1" in message
    assert len(message.splitlines()) == 1

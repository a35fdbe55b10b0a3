"""What the programs say when something goes wrong that a user can mend."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from common.checkpoints import BACKUP, resume
from common.dataset_types import DataError
from common.program import run_program
from common.run_folder import CONFIGURATION, RunError, claim, read_json

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("no\nimages"), 2, "name.py: no images\n"),
        (RunError("no run"), 2, "name.py: no run\n"),
        (
            KeyboardInterrupt(),
            130,
            "name.py: stopped. The same command continues a run.\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left", "f"),
            2,
            "name.py: [Errno 28] No space left: 'f'. Make room; the same "
            "command continues a run.\n",
        ),
        (
            NotADirectoryError(errno.ENOTDIR, "Not a directory", "f"),
            2,
            "name.py: [Errno 20] Not a directory: 'f'. Give another place, "
            "for example by --output.\n",
        ),
    ],
)
def test_errors_end_in_one_line(
    error: BaseException, code: int, message: str, capsys: Capture
) -> None:
    def work() -> None:
        raise error

    assert run_program("name.py", work) == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyboardInterrupt(), "stopped.\n"),
        (OSError(errno.ENOSPC, "Full"), "[Errno 28] Full. Make room.\n"),
        (
            OSError(errno.EACCES, "Denied"),
            "[Errno 13] Denied. Give another place, for example as OUTPUT.\n",
        ),
    ],
)
def test_advice_is_that_of_the_program(
    error: BaseException, message: str, capsys: Capture
) -> None:
    def work() -> None:
        raise error

    run_program("name.py", work, resumes=False, output="as OUTPUT")
    assert capsys.readouterr().err == f"name.py: {message}"


def test_work_that_is_done(capsys: Capture) -> None:
    assert run_program("name.py", lambda: print("done")) == 0
    assert capsys.readouterr() == ("done\n", "")
    assert run_program("name.py", lambda: 1) == 1


def test_errors_of_the_program_itself_are_shown() -> None:
    with pytest.raises(ZeroDivisionError):
        run_program("name.py", lambda: print(1 / 0))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"last": ')
    with pytest.raises(RunError, match=r"metrics\.json is damaged .* Remove"):
        read_json(tmp_path / "metrics.json")


def test_the_setting_that_differs_is_named(tmp_path: Path) -> None:
    claim(tmp_path, {"seed": 1, "recipe": {"steps": 5, "width": 0.5}})
    claim(tmp_path, {"seed": 1, "recipe": {"steps": 5, "width": 0.5}})
    with pytest.raises(RunError, match=r"recipe\.width=0\.5, now .*=0\.25"):
        claim(tmp_path, {"seed": 1, "recipe": {"steps": 5, "width": 0.25}})


def test_a_part_that_is_there_or_wanted_alone_is_named(tmp_path: Path) -> None:
    plain = {"method": {"constraint": None}}
    constrained = {"method": {"constraint": {"name": "descent"}}}
    for folder, there, wanted, difference in (
        ("a", constrained, plain, "name='descent', now .*name=None"),
        ("b", plain, constrained, "name=None, now .*name='descent'"),
    ):
        claim(tmp_path / folder, there)
        with pytest.raises(RunError, match=rf"constraint\.{difference}"):
            claim(tmp_path / folder, wanted)


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": "mine", ".unfinished.1.notes.txt": "half"},
        {CONFIGURATION: "[1, 2]"},
        {CONFIGURATION: "null"},
        {CONFIGURATION: '{"run": {"seed": 1}}'},
        {CONFIGURATION: '{"run": 1, "versions": {}}'},
    ],
    ids=str,
)
def test_files_of_something_else_are_left_alone(
    files: dict[str, str], tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(RunError, match="holds files of something else: choose"):
        claim(tmp_path, {"seed": 1})
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == files


def test_folders_and_hidden_files_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "pretraining").mkdir()
    (tmp_path / "pretraining" / "notes.txt").touch()
    (tmp_path / ".DS_Store").touch()
    claim(tmp_path, {"seed": 1})
    assert (tmp_path / CONFIGURATION).exists()


def test_a_finished_run_of_another_backend(tmp_path: Path) -> None:
    claim(tmp_path, {"seed": 1})
    path = tmp_path / CONFIGURATION
    written = json.loads(path.read_text())
    written["versions"]["keras_backend"] = "another"
    path.write_text(json.dumps(written))
    with pytest.raises(RunError, match="keras_backend='another', now"):
        claim(tmp_path, {"seed": 1})
    claim(tmp_path, {"seed": 1}, any_backend=True)
    with pytest.raises(RunError, match="seed=1, now seed=2"):
        claim(tmp_path, {"seed": 2}, any_backend=True)


def test_a_damaged_backup_is_named(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 2)), np.ones(2), verbose=0)
    path = tmp_path / BACKUP
    model.save_weights(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RunError, match=r"cannot be loaded .* Remove it"):
        resume(model, tmp_path, 1)


@pytest.mark.parametrize("backend", ["foo", "missing"])
def test_a_backend_that_does_not_start(backend: str, tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": backend}
    if backend == "missing":  # A package that cannot be imported.
        chosen = keras.backend.backend()
        environment["KERAS_BACKEND"] = chosen
        (tmp_path / f"{chosen}.py").write_text(
            f"raise ModuleNotFoundError('No module named {chosen}')\n"
        )
    places = [str(tmp_path), *sys.path]
    environment["PYTHONPATH"] = os.pathsep.join(places)
    finished = subprocess.run(
        [sys.executable, "-c", "import sphereface_plus"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert line.startswith("Keras cannot start its backend (")
    assert line.endswith("tensorflow, jax or torch.")

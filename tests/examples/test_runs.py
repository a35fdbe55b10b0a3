"""Options, run folders, resume, batches and comparison of the programs."""

import dataclasses
import gc
import json
import os
import resource
import runpy
import signal
import sys
from pathlib import Path

import filelock
import keras
import numpy as np
import pytest

import compare
import runs
from data import UserError

EPOCHS, STEPS, METRIC = 3, 2, "accuracy"
once = pytest.mark.once
# The log's file stays open when `fit` raises, until the program ends.
open_log = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@dataclasses.dataclass(frozen=True)
class Options(runs.Options):
    """A program."""

    batch_size: int | None = None
    rate: float = 0.1
    name: str = "linear"
    seeds: tuple[int, ...] = (0,)
    output: Path | None = None


def model_of(units=1, rate=0.1):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def train(folder, rate=0.1, batch_size=2, epochs=EPOCHS):
    """Trains, or goes on, as the programs do."""
    model = model_of(rate=rate)
    x, y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    batches = runs.Batches(4, batch_size, lambda i, _: (x[i], y[i]), seed=0)
    model.fit(
        batches,
        epochs=epochs,
        initial_epoch=runs.restore(model, folder, len(batches)),
        shuffle=False,
        verbose=0,
        callbacks=runs.callbacks(folder, batches),
    )
    return model


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train(folder)
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of the finished training."""
    for name in (runs.MODEL, runs.HISTORY):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    return tmp_path


@once
def test_numbers_that_cannot_be_exit_with_code_2(capsys):
    for wrong in ("--batch_size=0", "--rate=nan", "--rate=-1", "--seeds=-1"):
        with pytest.raises(SystemExit, match="2"):
            runs.main(Options, line_of, [wrong])
        assert wrong.split("=")[0] in capsys.readouterr().err


def line_of(work, capsys):
    """Returns the one line of a program that ends with code 2."""
    assert runs.main(Options, lambda _: work(), []) == 2
    gc.collect()
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("test_runs.py: ")


@once
def test_what_a_user_can_mend_is_one_line(capsys):
    def work(error):
        raise error

    for error, message in (
        (UserError("of two\nlines"), "of two lines"),
        (OSError("No such folder"), "No such folder. Correct the path."),
        (ModuleNotFoundError("No x"), f'No x. {runs.INSTALL}".[examples]"'),
    ):
        assert line_of(lambda error=error: work(error), capsys) == message
    with pytest.raises(RuntimeError, match="out of memory"):
        line_of(lambda: work(RuntimeError("out of memory")), capsys)


@once
def test_a_missing_package_is_one_line(monkeypatch, capsys):
    backend = keras.backend.backend()
    monkeypatch.setitem(sys.modules, "tyro", None)
    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(runs.__file__)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "tyro" in line
    assert line.endswith(f'run: pip install ".[examples,{backend}]"')


@once
def test_a_stop_is_one_line(monkeypatch, capfd):
    def work(_):
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as caught:
        runs.main(Options, work, [])
    assert caught.value.code == 130
    line = "\ntest_runs.py: stopped. The same command goes on.\n"
    assert capfd.readouterr().err == line
    assert signal.getsignal(signal.SIGINT) is before


def open_run(folder, **changes):
    options = Options(**changes)
    with runs.open_run(folder, "program", 0, options, METRIC) as finished:
        return finished


@once
def test_a_run_is_its_settings(tmp_path):
    folder = tmp_path / "new" / "run"
    assert open_run(folder) is None
    written = json.loads((folder / runs.SETTINGS).read_text())
    assert written["settings"]["rate"] == 0.1
    assert written["settings"]["backend"] == keras.backend.backend()
    assert written["versions"]["keras"] == keras.__version__
    assert open_run(folder, output=Path("elsewhere"), seeds=(0, 1)) is None
    with pytest.raises(UserError, match=r"rate=0\.1, now 0\.2\. Give another"):
        open_run(folder, rate=0.2)
    runs.write_json(folder / runs.METRICS, {"accuracy": 0.5})
    assert open_run(folder) == {"accuracy": 0.5}
    with (
        filelock.FileLock(folder / ".lock"),
        pytest.raises(UserError, match="Another process works in"),
    ):
        open_run(folder)


@once
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", "mine", "files of something else"),
        (runs.SETTINGS, '{"seed": 1}', "is of something else"),
        (runs.METRICS, '{"accuracy": 0.', "metrics.json is damaged"),
        (runs.METRICS, '{"accuracy": NaN}', "damaged (it holds NaN)"),
        (runs.METRICS, '{"loss": 0.5}', "metrics.json has no accuracy"),
    ],
)
def test_damaged_and_foreign_files_are_refused(
    name, content, message, tmp_path
):
    if name == runs.METRICS:
        open_run(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as caught:
        open_run(tmp_path)
    assert message in str(caught.value)
    assert (tmp_path / name).read_text() == content


def test_a_run_goes_on_from_its_last_whole_epoch(trained, tmp_path):
    train(tmp_path, epochs=1)
    # What a kill leaves that comes between the log and the model.
    (tmp_path / f".unfinished.{runs.MODEL}").write_bytes(b"half")
    with (tmp_path / runs.HISTORY).open("a") as file:
        file.write("1,0.5,0.2\n2,0.")
    resumed = train(tmp_path)
    assert int(resumed.optimizer.iterations) == EPOCHS * STEPS
    assert not list(tmp_path.glob(".unfinished*"))
    history, expected = map(runs.read_history, (tmp_path, trained))
    assert list(history) == ["loss"]
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    model = runs.load_model(trained / runs.MODEL)
    for one, other in zip(resumed.weights, model.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@open_log
def test_a_full_disk_is_one_line_and_leaves_what_was_whole(folder, capsys):
    def work():
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            train(folder, epochs=EPOCHS + 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    before = (folder / runs.MODEL).read_bytes()
    expected = "[Errno 27] File too large. Make room."
    assert line_of(work, capsys) == expected
    assert (folder / runs.MODEL).read_bytes() == before
    assert not list(folder.glob(".unfinished*"))


@open_log
def test_a_training_that_diverges_is_one_line(tmp_path, capsys):
    # With one step in an epoch its loss is still finite.
    for size, message in (2, "Inf loss"), (4, "weights are not finite"):
        line = line_of(lambda size=size: train(tmp_path, 3e38, size), capsys)
        assert message in line
        assert "Lower the learning rate" in line
        assert not (tmp_path / runs.MODEL).exists()


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@once
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (half, r"cannot be loaded \(File is not a zip file"),
        (lambda path: model_of(units=2).save(path), "could not be loaded"),
        ("epoch,loss\n0,0.5\n", "has not the 3 epochs"),
        ("epoch,loss\n0,0.5\n2,0.2\n1,0.1\n", "epochs do not count"),
        ("epoch,loss\n0,0.5\n1\n2,0.1\n", "damaged"),
    ],
)
def test_a_model_or_history_that_cannot_go_on(change, message, folder):
    if callable(change):
        change(folder / runs.MODEL)
    else:
        (folder / runs.HISTORY).write_text(change)
    with pytest.raises(UserError, match=message) as caught:
        runs.restore(model_of(), folder, STEPS)
    assert "Remove its folder to train again" in str(caught.value)


@once
@pytest.mark.parametrize("steps", [None, 2])
def test_batches_show_everything_once_a_pass(steps):
    batches = runs.Batches(7, 2, lambda i, _: i, seed=1, steps=steps)

    def epoch(number):
        batches.epoch = number
        return [batches[index] for index in range(len(batches))]

    shown = [epoch(number) for number in range(6 // len(batches))]
    one, other = np.array(shown).reshape(2, 6)
    assert len(set(one)) == len(set(other)) == 6
    assert one.tolist() != other.tolist()
    # A training that goes on sees what it would have seen.
    np.testing.assert_array_equal(epoch(1), shown[1])


def write_run(root, name, seed, accuracy):
    folder = root / f"{name}_{seed}"
    with runs.open_run(folder, "program", seed, Options(name=name), METRIC):
        (folder / runs.HISTORY).write_text(
            f"epoch,loss,val_loss\n0,{accuracy},NA\n1,{accuracy / 2},NA\n"
        )
        metrics = {"accuracy": accuracy, "steps": 7, "images": "none"}
        runs.write_json(folder / runs.METRICS, metrics)


@once
def test_comparison_is_paired_over_seeds(tmp_path):
    pairs = [(0.5, 0.6), (0.7, 0.82), (0.6, 0.68)]
    for seed, (one, other) in enumerate(pairs):
        write_run(tmp_path, "a", seed, one)
        write_run(tmp_path, "b$\\frac$", seed, other)
    for history in tmp_path.glob(f"a*/{runs.HISTORY}"):
        history.unlink()  # As where numbers are kept.
    assert compare.main([str(tmp_path)]) == 0
    assert (tmp_path / "comparison.md").read_text().splitlines() == [
        "| method | seeds | accuracy | spread | difference | steps |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | 0 1 2 | 0.6 | 0.1 | - | 7 |",
        # 0.1 ± 4.303 * 0.02 / sqrt(3).
        "| b$\\frac$ | 0 1 2 | 0.7 | 0.11 | +0.1 ± 0.05 | 7 |",
    ]
    assert (tmp_path / "comparison.png").stat().st_size > 10_000
    logs = {"energy/$\\frac$": np.ones(2)}
    runs.draw_history(logs, {"energy": "energy"}).draw_without_rendering()


@once
def test_comparison_refuses_in_one_line(tmp_path, capsys):
    assert compare.main([str(tmp_path)]) == 2
    assert "no finished run" in capsys.readouterr().err
    write_run(tmp_path, "a", 0, 0.5)
    (tmp_path / "a_0" / runs.HISTORY).write_text("epoch,loss\n0,nan\n")
    assert compare.main([str(tmp_path)]) == 2
    assert "history.csv is damaged (it holds NaN)" in capsys.readouterr().err

"""Options, run folders, resume and batches, on a program of a few lines."""

import dataclasses
import errno
import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import filelock
import keras
import numpy as np
import pytest
import tyro

import compare
import runs
from data import UserError

EXAMPLES = Path(runs.__file__).parent
EPOCHS, STEPS = 3, 2


@dataclasses.dataclass(frozen=True)
class Options(runs.Options):
    """A program."""

    batch_size: int | None = None
    """Images of a step."""
    rate: float = 0.1
    name: str = "linear"
    tensorboard: bool = False
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(aliases=["--seed"])] = (0,)
    output: Path | None = None


def model_of(units: int = 1, rate: float = 0.1) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [keras.Input((3,)), keras.layers.Dense(units)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse")
    return model


def train(folder: Path, epochs: int = EPOCHS, rate: float = 0.1) -> keras.Model:
    """Trains, or goes on, as the programs do."""
    model = model_of(rate=rate)
    x, y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    batches = runs.Batches(4, 2, lambda i, _: (x[i], y[i]), seed=0)
    first_epoch = runs.restore(model, folder, len(batches))
    model.fit(
        batches,
        epochs=epochs,
        initial_epoch=first_epoch,
        shuffle=False,
        verbose=0,
        callbacks=runs.callbacks(folder, batches),
    )
    return model


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(folder)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of the finished training."""
    for name in (runs.MODEL, runs.HISTORY):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    return tmp_path


# Options --------------------------------------------------------------------


def read(*arguments: str) -> Options:
    found: list[Options] = []

    def work(options: Options) -> None:
        found.append(options)

    assert runs.main(Options, work, list(arguments)) == 0
    return found[0]


def test_options_in_both_spellings() -> None:
    options = read("--batch_size", "4", "--seeds", "1", "2", "--tensorboard")
    assert options == Options(batch_size=4, seeds=(1, 2), tensorboard=True)
    assert read("--batch-size=4", "--seed", "3").seeds == (3,)
    assert runs.filled(options, {"batch_size": 8}).batch_size == 4
    assert runs.filled(Options(), {"batch_size": 8}).batch_size == 8


def test_names_tell_what_is_not_the_default() -> None:
    options = Options(rate=1e-5, output=Path("a/b"), seeds=(1,))
    name = runs.name_of(options, "title", without={"seeds"})
    assert name == "title_rate_1e-05_output_a-b"
    assert runs.name_of(Options(), "title", without=set()) == "title"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--batch_size", "0"],
        ["--rate", "nan"],
        ["--rate", "inf"],
        ["--rate", "-1"],
        ["--seeds", "0", "-1"],
        ["--rate", "fast"],
        ["--unknown"],
    ],
)
def test_wrong_options_exit_with_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        read(*arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("of two\nlines"), "of two lines"),
        (OSError(errno.ENOSPC, "No space"), "[Errno 28] No space. Make room."),
        (
            NotADirectoryError(errno.ENOTDIR, "Not a directory", "f"),
            "[Errno 20] Not a directory: 'f'. Correct the path.",
        ),
        (ImportError("no module"), "no module"),
    ],
)
def test_errors_that_a_user_can_mend_are_one_line(
    error: Exception, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(_: Options) -> None:
        raise error

    assert runs.main(Options, work, []) == 2
    assert capsys.readouterr().err == f"test_runs.py: {message}\n"


def test_other_errors_are_shown() -> None:
    def work(_: Options) -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        runs.main(Options, work, [])


def test_a_stop_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(_: Options) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as caught:
        runs.main(Options, work, [])
    assert caught.value.code == 130
    assert "stopped. The same command goes on." in capsys.readouterr().err


# Run folders ----------------------------------------------------------------


def open_run(folder: Path, **changes: Any) -> dict[str, Any] | None:
    with runs.open_run(folder, "program", 0, Options(**changes)) as finished:
        return finished


def test_a_run_is_its_settings(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", "mine", "files of something else"),
        (runs.SETTINGS, "[1]", "damaged (it is no JSON object)"),
        (runs.SETTINGS, '{"seed": 1}', "is of something else"),
        (runs.METRICS, '{"accuracy": 0.', "metrics.json is damaged"),
        (runs.METRICS, '{"accuracy": NaN}', "damaged (it holds NaN)"),
        (runs.METRICS, "\0\xff", "metrics.json is damaged"),
    ],
)
def test_damaged_and_foreign_files_are_refused(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    if name == runs.METRICS:
        open_run(tmp_path)
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        open_run(tmp_path)
    assert message in str(caught.value)
    assert (tmp_path / name).read_bytes() == content.encode("latin-1")


def test_half_a_file_is_not_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def save(place: Path) -> None:
        place.write_text("half")
        raise OSError(errno.ENOSPC, "No space")

    with pytest.raises(OSError, match="No space"):
        runs.write(path, save)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["before"]


# Resume ---------------------------------------------------------------------


def test_a_run_goes_on_from_its_last_whole_epoch(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    train(parts, epochs=1)
    # What a kill leaves that comes between the log and the model.
    with (parts / runs.HISTORY).open("a") as file:
        file.write("1,0.5,0.2\n2,0.")
    resumed, expected = train(parts), train(whole)
    assert int(resumed.optimizer.iterations) == EPOCHS * STEPS
    history = runs.read_history(parts)
    assert list(history) == ["loss"]
    np.testing.assert_allclose(
        history["loss"], runs.read_history(whole)["loss"], rtol=1e-5
    )
    for one, other in zip(resumed.weights, expected.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    assert runs.load_model(parts / runs.MODEL).count_params() == 4


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def save_another(path: Path) -> None:
    model = model_of(units=2)
    model.optimizer.build(model.trainable_variables)
    model.save(path)


def save_uncompiled(path: Path) -> None:
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]).save(path)


def save_nan(path: Path) -> None:
    model = model_of()
    model.optimizer.build(model.trainable_variables)
    model.set_weights([np.full(w.shape, np.nan) for w in model.get_weights()])
    model.save(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (half, r"cannot be loaded \(File is not a zip file"),
        (save_another, "could not be loaded"),
        (save_uncompiled, "cannot be loaded"),
        (save_nan, "weights are not finite"),
    ],
)
def test_a_model_that_cannot_go_on_is_refused(
    change: Callable[[Path], None], message: str, folder: Path
) -> None:
    change(folder / runs.MODEL)
    with pytest.raises(UserError, match=message) as caught:
        runs.restore(model_of(), folder, STEPS)
    assert "Remove its folder to train again" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "damaged"),
        ("epoch,loss\n0,0.5\n", "has not the 3 epochs"),
        ("epoch,loss\n0,0.5\n1,nan\n2,0.1\n", "holds NaN"),
        ("epoch,loss\n0,0.5\n2,0.2\n1,0.1\n", "epochs do not count"),
        ("epoch,loss\n0,0.5\n1\n2,0.1\n", "damaged"),
        ("a,b\n1,2\n1,2\n1,2\n", "damaged"),
        ("\xff\0", "damaged"),
    ],
)
def test_a_history_that_is_not_of_the_model_is_refused(
    content: str, message: str, folder: Path
) -> None:
    (folder / runs.HISTORY).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=message):
        runs.restore(model_of(), folder, STEPS)


# The log's file stays open when `fit` raises, until the program ends.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_training_that_diverges_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(_: Options) -> None:
        train(tmp_path, rate=1e30)

    assert runs.main(Options, work, []) == 2
    gc.collect()
    (line,) = capsys.readouterr().err.splitlines()
    assert "Inf loss encountered at batch 1" in line
    assert "Lower the learning rate" in line
    assert not (tmp_path / runs.MODEL).exists()


def test_weights_that_are_not_finite_are_not_saved(folder: Path) -> None:
    saver = runs.SaveModel(folder)
    saver.set_model(model_of())
    before = (folder / runs.MODEL).read_bytes()
    saver.model.set_weights([np.full((3, 1), np.inf), np.zeros(1)])
    with pytest.raises(UserError, match="diverged in epoch 6"):
        saver.on_epoch_end(5)
    assert (folder / runs.MODEL).read_bytes() == before


def test_models_that_cannot_be_loaded(folder: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        runs.load_model(folder / "other.keras")
    with pytest.raises(UserError, match=r"must end in \.keras"):
        runs.load_model(folder / runs.HISTORY)
    half(folder / runs.MODEL)
    with pytest.raises(UserError, match="cannot be loaded"):
        runs.load_model(folder / runs.MODEL)


KILLED = """
    import os, signal, sys
    sys.path[:0] = {path!r}
    import runs, test_runs
    from pathlib import Path

    write, moment, count = runs.write, sys.argv[2], int(sys.argv[3])

    def dying(path, save):
        global count
        count -= path.name == sys.argv[4]
        die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        def half(place):
            save(place)
            content = place.read_bytes()
            place.write_bytes(content[: len(content) // 2])
            die()
        if count == 0 and moment == "before":
            die()
        write(path, half if count == 0 and moment == "half" else save)
        if count == 0:
            die()

    runs.write = dying
    test_runs.train(Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("moment", ["before", "half", "after"])
def test_a_run_that_is_killed_while_it_saves(
    moment: str, count: int, tmp_path: Path
) -> None:
    path = [str(EXAMPLES), str(Path(__file__).parent), *sys.path]
    script = textwrap.dedent(KILLED).format(path=path)
    killed = subprocess.run(
        [sys.executable, "-c", script, tmp_path, moment, str(count), runs.MODEL]
    )
    assert killed.returncode == -signal.SIGKILL
    model = train(tmp_path)
    assert int(model.optimizer.iterations) == EPOCHS * STEPS
    assert len(runs.read_history(tmp_path)["loss"]) == EPOCHS


# Batches --------------------------------------------------------------------


@pytest.mark.parametrize("steps", [None, 2])
def test_batches_show_everything_once_a_pass(
    steps: int | None, tmp_path: Path
) -> None:
    epochs: list[list[np.ndarray]] = []

    def make(chosen: np.ndarray, generator: np.random.Generator) -> Any:
        if epochs:  # Before, Keras looks at a batch.
            epochs[-1].append(chosen)
        x = np.ones((len(chosen), 3), "float32")
        return x, x[:, :1]

    batches = runs.Batches(7, 2, make, seed=1, steps=steps)
    begin = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: epochs.append([])
    )
    model_of().fit(
        batches,
        epochs=6 // len(batches),
        shuffle=False,
        verbose=0,
        callbacks=[*runs.callbacks(tmp_path, batches), begin],
    )
    one, other = np.array(epochs).reshape(2, 6)
    assert len(set(one)) == len(set(other)) == 6
    assert one.tolist() != other.tolist()
    # A training that goes on sees what it would have seen.
    batches.epoch = 1
    batches[0]
    np.testing.assert_array_equal(epochs[-1][-1], epochs[1][0])


def test_batches_of_few_examples() -> None:
    batches = runs.Batches(3, 5, lambda chosen, _: chosen, seed=0)
    assert len(batches) == 1
    assert sorted(batches[0]) == [0, 1, 2]
    images = np.arange(8).reshape(2, 1, 4, 1)
    flipped = runs.random_flips(images.repeat(50, 0), np.random.default_rng(0))
    rows = {tuple(row) for row in flipped[..., 0].reshape(-1, 4)}
    assert rows == {(0, 1, 2, 3), (3, 2, 1, 0), (4, 5, 6, 7), (7, 6, 5, 4)}


# Pictures and comparison ----------------------------------------------------


def test_curves_of_logs_validation_and_layers() -> None:
    history = {
        name: np.array([2.0, 1.0, 0.5])
        for name in ("loss", "val_loss", "energy_gap", "energy_gap/a", "lr")
    }
    titles = {"loss": "the loss", "energy_gap": "gap", "lr": "rate"}
    figure = runs.draw_history(history, titles, {"energy_gap/a": 3.0})
    loss, gap, rate = figure.axes
    assert [line.get_label() for line in loss.lines] == ["loss", "val_loss"]
    assert gap.lines[0].get_xydata().tolist()[:2] == [[0, 3], [1, 2]]
    assert len(rate.lines) == 1


def write_run(root: Path, name: str, seed: int, accuracy: float) -> None:
    folder = root / f"{name}_{seed}"
    with runs.open_run(folder, "program", seed, Options(name=name)):
        (folder / runs.HISTORY).write_text(
            f"epoch,loss,val_loss\n0,{accuracy},NA\n1,{accuracy / 2},NA\n"
        )
        metrics = {"accuracy": accuracy, "steps": 7, "images": "none"}
        runs.write_json(folder / runs.METRICS, metrics)


def test_comparison_is_paired_over_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, (one, other) in enumerate([(0.5, 0.6), (0.7, 0.82), (0.6, 0.68)]):
        write_run(tmp_path, "a", seed, one)
        write_run(tmp_path, "b", seed, other)
    write_run(tmp_path, "b", 9, 0.7)
    (tmp_path / "b_9" / runs.METRICS).unlink()
    assert compare.main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "b_9: left out, not finished" in printed
    rows = (tmp_path / "comparison.md").read_text().splitlines()
    assert rows[0] == (
        "| method | seeds | accuracy | spread | difference | steps |"
    )
    assert rows[2] == "| a | 0 1 2 | 0.6 | 0.1 | - | 7 |"
    # 0.1 ± 4.303 * 0.02 / sqrt(3).
    assert rows[3] == "| b | 0 1 2 | 0.7 | 0.11 | +0.1 ± 0.05 | 7 |"
    assert (tmp_path / "comparison.png").stat().st_size > 10_000
    folders = [str(tmp_path / name) for name in ("b_0", "a_0", "a_1")]
    assert compare.main([*folders, "--output", str(tmp_path / "x")]) == 0
    table = (tmp_path / "x" / "comparison.md").read_text()
    assert "| b | 0 | 0.6 | - | - | 7 |" in table
    assert "| a | 0 1 | 0.6 | 0.14 | -0.1 | 7 |" in table


def test_comparison_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main([str(tmp_path)]) == 2
    assert "no finished run" in capsys.readouterr().err
    write_run(tmp_path, "a", 0, 0.5)
    assert compare.main([str(tmp_path), "--metrics", "images"]) == 2
    assert "Known: accuracy, steps, images" in capsys.readouterr().err
    (tmp_path / "a_0" / runs.HISTORY).write_text("epoch,loss\n0,nan\n")
    assert compare.main([str(tmp_path)]) == 2
    assert "history.csv is damaged (it holds NaN)" in capsys.readouterr().err

"""Options, run folders, resume, batches and comparison of the programs."""

import dataclasses
import errno
import gc
import json
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import filelock
import keras
import numpy as np
import pytest
import tyro

import compare
import runs
from data import UserError

EPOCHS, STEPS = 3, 2
Capture = pytest.CaptureFixture[str]


@dataclasses.dataclass(frozen=True)
class Options(runs.Options):
    """A program."""

    batch_size: int | None = None
    rate: float = 0.1
    name: str = "linear"
    flag: bool = False
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(aliases=["--seed"])] = (0,)
    output: Path | None = None


def model_of(units=1, rate=0.1):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def train(folder, epochs=EPOCHS, rate=0.1):
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


# Options and endings --------------------------------------------------------


def run(*arguments, error=None):
    """Runs a program that raises, or returns its options."""
    found: list[Options] = []

    def work(options):
        found.append(options)
        if error is not None:
            raise error

    code = runs.main(Options, work, list(arguments))
    return code or found[0]


def test_options_in_both_spellings():
    options = run("--batch_size", "4", "--seeds", "1", "2", "--flag")
    assert options == Options(batch_size=4, seeds=(1, 2), flag=True)
    assert run("--batch-size=4", "--seed", "3").seeds == (3,)
    assert runs.filled(options, {"batch_size": 8}).batch_size == 4
    assert runs.filled(Options(), {"batch_size": 8}).batch_size == 8


def test_names_tell_what_is_not_the_default():
    options = Options(rate=1e-5, output=Path("a/b"), seeds=(1,))
    name = runs.name_of(options, "title", without={"seeds"})
    assert name == "title_rate_1e-05_output_a-b"
    assert runs.name_of(Options(), "title", without=set()) == "title"


@pytest.mark.parametrize(
    "arguments",
    ["--batch_size 0", "--rate nan", "--rate -1", "--seeds 0 -1", "--unknown"],
)
def test_wrong_options_exit_with_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run(*arguments.split())
    assert caught.value.code == 2
    assert arguments.split()[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("of two\nlines"), "of two lines"),
        (OSError(errno.ENOSPC, "No space"), "[Errno 28] No space. Make room."),
        (OSError(errno.ENOTDIR, "No"), "[Errno 20] No. Correct the path."),
        (ImportError("no module"), "no module"),
        (
            ModuleNotFoundError("No module named 'x'"),
            "No module named 'x'. In the folder of this repository run: pip "
            'install ".[examples]"',
        ),
    ],
)
def test_what_a_user_can_mend_is_one_line(error, message, capsys):
    assert run(error=error) == 2
    assert capsys.readouterr().err == f"test_runs.py: {message}\n"


@pytest.mark.parametrize("module", ["tyro", "keras_mhe"])
def test_a_missing_package_is_one_line(module, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(runs.__file__)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert module in line
    backend = keras.backend.backend()
    assert line.endswith(f'run: pip install ".[examples,{backend}]"')


def test_programs_import_what_tells_of_missing_packages_first():
    programs = 0
    for path in Path(runs.__file__).parent.glob("*.py"):
        if "runs.main" in (text := path.read_text()):
            programs += 1
            names = re.findall(r"^(?:import|from) (\w+)", text, re.M)
            others = [n for n in names if n not in sys.stdlib_module_names]
            assert others[0] == "runs", path
    assert programs >= 2


def test_other_errors_are_shown():
    with pytest.raises(RuntimeError, match="out of memory"):
        run(error=RuntimeError("out of memory"))


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


# Run folders ----------------------------------------------------------------


def open_run(folder, **changes):
    with runs.open_run(folder, "program", 0, Options(**changes)) as finished:
        return finished


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
    name, content, message, tmp_path
):
    if name == runs.METRICS:
        open_run(tmp_path)
    (tmp_path / name).write_text(content, "latin-1")
    with pytest.raises(UserError) as caught:
        open_run(tmp_path)
    assert message in str(caught.value)
    assert (tmp_path / name).read_text("latin-1") == content


def test_half_a_file_is_not_left_behind(tmp_path):
    def save(place):
        place.write_text("half")
        raise OSError(errno.ENOSPC, "No space")

    (tmp_path / "file").write_text("before")
    with pytest.raises(OSError, match="No space"):
        runs.write(tmp_path / "file", save)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["before"]


# Resume ---------------------------------------------------------------------


def test_a_run_goes_on_from_its_last_whole_epoch(trained, tmp_path):
    train(tmp_path, epochs=1)
    # What a kill leaves that comes between the log and the model.
    with (tmp_path / runs.HISTORY).open("a") as file:
        file.write("1,0.5,0.2\n2,0.")
    resumed = train(tmp_path)
    assert int(resumed.optimizer.iterations) == EPOCHS * STEPS
    history, expected = map(runs.read_history, (tmp_path, trained))
    assert list(history) == ["loss"]
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    model = runs.load_model(trained / runs.MODEL)
    for one, other in zip(resumed.weights, model.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def save_uncompiled(path):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]).save(path)


def save_nan(path):
    model = model_of()
    model.set_weights([np.full(w.shape, np.nan) for w in model.get_weights()])
    model.save(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (half, r"cannot be loaded \(File is not a zip file"),
        (lambda path: model_of(units=2).save(path), "could not be loaded"),
        (save_uncompiled, "cannot be loaded"),
        (save_nan, "weights are not finite"),
    ],
)
def test_a_model_that_cannot_go_on_is_refused(change, message, folder):
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
    content, message, folder
):
    (folder / runs.HISTORY).write_text(content, "latin-1")
    with pytest.raises(UserError, match=message):
        runs.restore(model_of(), folder, STEPS)


# The log's file stays open when `fit` raises, until the program ends.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_training_that_diverges_is_one_line(tmp_path, capsys):
    def work(_):
        train(tmp_path, rate=1e30)

    assert runs.main(Options, work, []) == 2
    gc.collect()
    (line,) = capsys.readouterr().err.splitlines()
    assert "Inf loss encountered at batch 1" in line
    assert "Lower the learning rate" in line
    assert not (tmp_path / runs.MODEL).exists()


def test_weights_that_are_not_finite_are_not_saved(folder):
    saver = runs.SaveModel(folder)
    saver.set_model(model_of())
    before = (folder / runs.MODEL).read_bytes()
    saver.model.set_weights([np.full((3, 1), np.inf), np.zeros(1)])
    with pytest.raises(UserError, match="diverged in epoch 6"):
        saver.on_epoch_end(5)
    assert (folder / runs.MODEL).read_bytes() == before


def test_models_that_cannot_be_loaded(folder):
    half(folder / runs.MODEL)
    for name, message in (
        ("other.keras", "is missing"),
        (runs.HISTORY, r"must end in \.keras"),
        (runs.MODEL, "cannot be loaded"),
    ):
        with pytest.raises(UserError, match=message):
            runs.load_model(folder / name)


KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[4].split(os.pathsep)
import runs, test_runs
from pathlib import Path

folder, moment, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
write = runs.write

def dying(path, save):
    global count
    def half(place):
        save(place)
        test_runs.half(place)
        os.kill(os.getpid(), signal.SIGKILL)
    count -= path.name == runs.MODEL
    write(path, half if count == 0 and moment == "half" else save)
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)

runs.write = dying
test_runs.train(folder)
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", range(1, EPOCHS + 1))
@pytest.mark.parametrize("moment", ["half", "after"])
def test_a_run_that_is_killed_while_it_saves(moment, count, tmp_path):
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    arguments = [tmp_path, moment, str(count), path]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments])
    assert killed.returncode == -signal.SIGKILL
    assert int(train(tmp_path).optimizer.iterations) == EPOCHS * STEPS
    assert len(runs.read_history(tmp_path)["loss"]) == EPOCHS


# Batches --------------------------------------------------------------------


@pytest.mark.parametrize("steps", [None, 2])
def test_batches_show_everything_once_a_pass(steps, tmp_path):
    epochs: list[list[np.ndarray]] = []

    def make(chosen, generator):
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


def test_few_examples_and_flips():
    batches = runs.Batches(3, 5, lambda chosen, _: chosen, seed=0)
    assert len(batches) == 1
    assert sorted(batches[0]) == [0, 1, 2]
    images = np.arange(4).reshape(1, 1, 4, 1).repeat(50, 0)
    flipped = runs.random_flips(images, np.random.default_rng(0))
    rows = {tuple(row) for row in flipped[..., 0].reshape(-1, 4)}
    assert rows == {(0, 1, 2, 3), (3, 2, 1, 0)}


# Pictures and comparison ----------------------------------------------------


def test_curves_of_logs_validation_and_layers():
    names = ("loss", "val_loss", "energy_gap", "energy_gap/a", "lr")
    history = dict.fromkeys(names, np.array([2.0, 1.0, 0.5]))
    titles = {"loss": "the loss", "energy_gap": "gap", "lr": "rate"}
    figure = runs.draw_history(history, titles, {"energy_gap/a": 3.0})
    loss, gap, rate = figure.axes
    assert [line.get_label() for line in loss.lines] == ["loss", "val_loss"]
    assert gap.lines[0].get_xydata().tolist()[:2] == [[0, 3], [1, 2]]
    assert len(rate.lines) == 1


def write_run(root, name, seed, accuracy):
    folder = root / f"{name}_{seed}"
    with runs.open_run(folder, "program", seed, Options(name=name)):
        (folder / runs.HISTORY).write_text(
            f"epoch,loss,val_loss\n0,{accuracy},NA\n1,{accuracy / 2},NA\n"
        )
        metrics = {"accuracy": accuracy, "steps": 7, "images": "none"}
        runs.write_json(folder / runs.METRICS, metrics)


def test_comparison_is_paired_over_seeds(tmp_path, capsys):
    pairs = [(0.5, 0.6), (0.7, 0.82), (0.6, 0.68)]
    for seed, (one, other) in enumerate(pairs):
        write_run(tmp_path, "a", seed, one)
        write_run(tmp_path, "b", seed, other)
    write_run(tmp_path, "b", 9, 0.7)
    (tmp_path / "b_9" / runs.METRICS).unlink()
    assert compare.main([str(tmp_path)]) == 0
    assert "b_9: left out, not finished" in capsys.readouterr().out
    assert (tmp_path / "comparison.md").read_text().splitlines() == [
        "| method | seeds | accuracy | spread | difference | steps |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | 0 1 2 | 0.6 | 0.1 | - | 7 |",
        # 0.1 ± 4.303 * 0.02 / sqrt(3).
        "| b | 0 1 2 | 0.7 | 0.11 | +0.1 ± 0.05 | 7 |",
    ]
    assert (tmp_path / "comparison.png").stat().st_size > 10_000
    folders = [str(tmp_path / name) for name in ("b_0", "a_0", "a_1")]
    assert compare.main([*folders, "--output", str(tmp_path / "x")]) == 0
    table = (tmp_path / "x" / "comparison.md").read_text()
    assert "| b | 0 | 0.6 | - | - | 7 |" in table
    assert "| a | 0 1 | 0.6 | 0.14 | -0.1 | 7 |" in table


def test_comparison_refuses_in_one_line(tmp_path, capsys):
    assert compare.main([str(tmp_path)]) == 2
    assert "no finished run" in capsys.readouterr().err
    write_run(tmp_path, "a", 0, 0.5)
    assert compare.main([str(tmp_path), "--metrics", "images"]) == 2
    assert "Known: accuracy, steps, images" in capsys.readouterr().err
    (tmp_path / "a_0" / runs.HISTORY).write_text("epoch,loss\n0,nan\n")
    assert compare.main([str(tmp_path)]) == 2
    assert "history.csv is damaged (it holds NaN)" in capsys.readouterr().err

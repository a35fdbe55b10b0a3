"""The image program from its command line to its files."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_mhe
from cifar100 import main
from classification.options import parse, recipe_of
from classification.recipes import SHORT
from common.callbacks import CPU_SECONDS
from common.checkpoints import read_history
from keras_mhe.regularizers import PublishedMHE, RegularizerSum
from support import image_program as program
from support.command_line import one_line, refused

PROGRAM = Path(program.__file__).parents[2] / "examples" / "cifar100.py"


@pytest.mark.parametrize(
    "method",
    [
        ["--model_name=baseline"],
        ["--model_name=mhe", "--power_s=0"],
        ["--model_name=half_mhe", "--power_s=a2"],
    ],
    ids=["baseline", "mhe", "half_mhe"],
)
def test_run_fills_its_folder(
    method: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    arguments = [*program.SMALL, *method, "--seed=3", f"--output={folder}"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "% of the digits test images right" in printed

    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["steps"] == program.STEPS
    assert metrics["source"] == "sklearn.datasets.load_digits"
    configuration = json.loads((folder / "configuration.json").read_text())
    assert configuration["run"]["seed"] == 3
    assert configuration["versions"]["keras"] == keras.__version__
    assert configuration["versions"]["keras_backend"] == keras.backend.backend()

    model = keras.models.load_model(folder / "last.keras")
    kernels = keras_mhe.analysis.neuron_kernels(model)
    assert len(kernels) == 11
    history = read_history(folder)
    for kernel in kernels:
        # The picture shows the weights that were saved.
        energy = kernel.energy(power=2, distance="euclidean", half_space=True)
        logged = history[f"energy/{kernel.name}"][-1]
        assert logged == pytest.approx(energy, rel=1e-5)
    regularizer = model.get_layer("conv2_1").kernel_regularizer
    classifier = model.get_layer("classifier").kernel_regularizer
    if method == ["--model_name=baseline"]:
        assert isinstance(regularizer, keras.regularizers.L2)
    else:
        assert isinstance(regularizer, RegularizerSum)
        published = regularizer.regularizers[0]
        assert isinstance(published, PublishedMHE)
        assert not published.output_layer
        assert classifier.regularizers[0].output_layer
        assert published.get_config()["model_name"] in method[0]
    for name in ("training.png", "angles.png"):
        with Image.open(folder / name) as picture:
            # A picture with something on it.
            assert picture.width > 1000
            assert np.asarray(picture.convert("L")).std() > 10


def test_main_job_learns(tmp_path: Path) -> None:
    """The default of the README, with fewer epochs, as a user starts it."""
    folder = tmp_path / "run"
    finished = subprocess.run(
        [sys.executable, str(PROGRAM), "--epochs=6", f"--output={folder}"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test_accuracy_last_epoch"] > 0.9
    history = read_history(folder)
    initial = json.loads((folder / "initial_energies.json").read_text())
    first_layer = "energy_gap/conv1_1"
    assert history[first_layer][-1] < 0.6 * initial[first_layer]


def test_published_recipe_runs(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = [
        "--recipe=published",
        "--dataset=digits",
        "--train_size=100",
        "--batch_size=50",
        "--width=0.0625",
        "--steps=4",
        f"--output={folder}",
    ]
    assert main(arguments) == 0
    model = keras.models.load_model(folder / "last.keras")
    assert model.loss.name == "published_cross_entropy"
    assert model.get_layer("norm1_1").momentum == 0.999
    assert np.isfinite(read_history(folder)["loss"]).all()


def test_time_of_a_step_in_less_than_an_epoch(tmp_path: Path) -> None:
    """An epoch has three steps."""
    arguments = [*program.SMALL, "--steps=2", f"--output={tmp_path}"]
    assert main(arguments) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    seconds = read_history(tmp_path)[CPU_SECONDS][0]
    milliseconds = metrics["cpu_milliseconds_per_step"]
    assert milliseconds == pytest.approx(1000 * seconds / 2)


def test_time_of_a_step_is_without_the_epoch_that_compiled(
    tmp_path: Path,
) -> None:
    """The third epoch has two of three steps."""
    arguments = [*program.SMALL, f"--output={tmp_path}"]
    assert main(arguments) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    seconds = read_history(tmp_path)[CPU_SECONDS]
    assert metrics["cpu_milliseconds_per_step"] == pytest.approx(
        1000 * (seconds[1] / 3 + seconds[2] / 2) / 2
    )


def test_divergence_is_one_line_and_saves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--train_size=150", "--batch_size=50", "--width=0.0625"]
    arguments = [*options, "--epochs=1", "--learning_rate=1e30"]
    assert main([*arguments, f"--output={tmp_path}"]) == 2
    message = one_line(capsys)
    assert "the training diverged" in message
    assert message.endswith(
        "What was saved before is finite. Lower --learning_rate or the "
        "strength, with another --output."
    )
    saved = {path.name for path in tmp_path.iterdir()}
    first = {"configuration.json", "initial_energies.json", "history.csv"}
    assert saved == first
    assert not (tmp_path / "history.csv").read_text()


def test_options_change_the_recipe() -> None:
    recipe = recipe_of(parse(["--augmentation=crop", "--weight_decay=0.25"]))
    assert recipe == replace(
        SHORT["digits"], augmentation="crop", weight_decay=0.25
    )


def test_tensorboard_logs_or_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    missing = [
        package
        for package in ("tensorflow", "tensorboard")
        if importlib.util.find_spec(package) is None
    ]
    code = main([*program.SMALL, "--tensorboard", f"--output={folder}"])
    if missing:
        assert code == 2
        assert f"needs the package {missing[0]}," in capsys.readouterr().err
        assert not folder.exists()
    else:
        assert code == 0
        assert list(folder.glob("tensorboard/*/events.out*"))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--dataset=cifar10", "--data_dir=missing"], ["missing"]),
        (["--dataset=cifar100", "--data_dir=missing"], ["missing"]),
        (["--dataset=fashion_mnist", "--data_dir=missing"], ["missing"]),
        (
            ["--train_size=100000"],
            ["--train_size=100000, but there are 1437 images. Give fewer."],
        ),
        (["--validation_size=361"], ["--validation_size=361", "360"]),
    ],
)
def test_unusable_data_is_one_line_and_code_2(
    arguments: list[str],
    parts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    assert main([*arguments, f"--output={folder}"]) == 2
    message = one_line(capsys)
    assert all(part in message for part in parts)
    assert not folder.exists()
    assert not list(tmp_path.rglob(".unfinished*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model_name=mhe2"], "invalid choice: 'mhe2'"),
        (["--power_s=3"], "invalid choice: '3'"),
        (["--width=0"], "must be a number > 0. Received: '0'"),
        (["--width=nan"], "must be a number > 0. Received: 'nan'"),
        (["--epochs=0"], "must be an integer >= 1. Received: '0'"),
        (["--weight_decay=-1"], "must be a number >= 0. Received: '-1'"),
        (["--seed=-1"], "must be an integer from 0 to 2"),
        (["--epochs=1", "--steps=1"], "not allowed with"),
        (["--seeds", "1"], "--seeds goes with --compare"),
        (["--compare", "half_mhe"], "`half_mhe:POWER`"),
        (["--compare", "baseline:2"], "Received: 'baseline:2'"),
        (["--compare", "mhe:0@fast"], "number > 0"),
        (["--compare", "mhe:0", "mhe:0"], "--compare names mhe:0 twice"),
        (
            ["--compare", "mhe:0", "--seeds", "1", "1"],
            "--seeds names",
        ),
        (
            ["--compare", "mhe:0", "--tensorboard"],
            "--tensorboard does nothing with --compare",
        ),
        (["--data_dir=x"], "--data_dir does nothing with digits"),
    ],
)
def test_wrong_options_exit_with_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(main, arguments, capsys)


def test_help_shows_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    for dataset in ("digits", "fashion_mnist", "cifar10", "cifar100"):
        assert f"\n  {dataset} " in text
    assert "42500 steps" in text

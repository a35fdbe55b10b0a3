"""The GAN program from its command line to its files."""

import json
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from common.checkpoints import read_history
from generation import evaluation, use
from generation.monitor import SPECTRA, read_spectra
from generation.training import DISCRIMINATOR, GENERATOR
from keras_mhe.functional import singular_values
from keras_mhe.layers import SpectralNormalization
from mhe_gan import main
from support.command_line import one_line
from support.gan_program import (
    SMALL,
    fast_classifier,
    needs_tfgan,
    scores_by_numpy,
)
from support.killing import run_and_kill

Patch = pytest.MonkeyPatch
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without scores."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main([*SMALL, "--no-scores", "--seed=3", f"--output={folder}"]) == 0
    return folder


def test_run_fills_its_folder(finished: Path) -> None:
    configuration = json.loads((finished / "configuration.json").read_text())
    assert configuration["run"]["variant"]["name"] == "sn_mhe"
    assert configuration["run"]["seed"] == 3
    history = read_history(finished)
    # Three epochs, the last cut short.
    assert history["epoch"].tolist() == [0, 1, 2]
    for name in ("generator_loss", "discriminator_loss", "mhe_loss"):
        assert np.isfinite(history[name]).all()
    assert (np.diff(history["mhe_loss"]) != 0).all()
    assert sorted(p.name for p in (finished / "snapshots").iterdir()) == [
        "generator_000006.keras",
        "generator_000007.keras",
    ]
    pictures = [
        finished / "training.png",
        finished / "singular_values.png",
        finished / "samples" / "step_000003.png",
        finished / "samples" / "step_000006.png",
        finished / "samples" / "step_000007.png",
    ]
    for path in pictures:
        with Image.open(path) as picture:
            assert np.asarray(picture.convert("L")).std() > 10
    with Image.open(finished / "samples.gif") as animation:
        assert animation.n_frames == 3
    assert not (finished / "metrics.json").exists()
    assert not list(finished.rglob(".unfinished*"))


def test_saved_models_are_those_of_the_end(finished: Path) -> None:
    generators = [
        keras.models.load_model(path)
        for path in (
            finished / GENERATOR,
            finished / "snapshots" / "generator_000007.keras",
        )
    ]
    for one, other in zip(*(g.get_weights() for g in generators), strict=True):
        np.testing.assert_array_equal(one, other)
    discriminator = keras.models.load_model(finished / DISCRIMINATOR)
    history = read_history(finished)
    checked = 0
    for layer in discriminator.layers:
        if isinstance(layer, SpectralNormalization):
            (kernel,) = layer.normalized_kernels()
            largest = float(singular_values(kernel)[0])
            logged = history[f"sigma/{layer.layer.name}"][-1]
            assert logged == pytest.approx(largest, rel=1e-4)
            checked += 1
            spectra = read_spectra(finished / SPECTRA)[layer.layer.name]
            assert len(spectra) == 3
            np.testing.assert_allclose(
                spectra[-1], singular_values(kernel), rtol=1e-4, atol=1e-6
            )
    assert checked == 4


def test_scores_of_a_run_that_was_trained_without(
    finished: Path, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    fast_classifier(monkeypatch, tmp_path)
    scores_by_numpy(monkeypatch)
    weights = (finished / GENERATOR).stat().st_mtime_ns
    command = [*SMALL, "--scored=64", "--seed=3", f"--output={finished}"]
    assert main(command) == 0
    assert "classifier score" in capsys.readouterr().out
    assert (finished / GENERATOR).stat().st_mtime_ns == weights

    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["source"] == "sklearn.datasets.load_digits"
    protocol = metrics["protocol"]
    assert protocol["classifier"].startswith("digits_classifier_v1_")
    assert 0.0 < protocol["classifier_test_accuracy"] <= 1.0
    counts = ("generated_images", "real_images", "splits", "seed")
    assert [protocol[name] for name in counts] == [64, 64, 2, 3]
    snapshots = metrics["snapshots"]
    assert list(snapshots) == ["generator_000006", "generator_000007"]
    assert metrics["last"] == snapshots["generator_000007"]
    best = max(s["classifier_score"] for s in snapshots.values())
    assert metrics["best"]["classifier_score"] == best
    assert 1.0 <= metrics["last"]["classifier_score"] <= 10.0

    # Again: nothing is computed, unless another count is asked for.
    written = (finished / "metrics.json").stat().st_mtime_ns
    assert main(command) == 0
    assert (finished / "metrics.json").stat().st_mtime_ns == written
    assert main([*command, "--scored=32"]) == 0
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["protocol"]["generated_images"] == 32

    # Scored one by one, for want of memory, the snapshots get the same.
    monkeypatch.setattr(evaluation, "_MOST_BYTES", 0)
    assert main(command) == 0
    again = json.loads((finished / "metrics.json").read_text())
    assert list(again["snapshots"]) == list(snapshots)
    for name, scores in snapshots.items():
        assert again["snapshots"][name] == pytest.approx(scores, rel=1e-3)
    assert main([*command, "--scored=32"]) == 0
    metrics = json.loads((finished / "metrics.json").read_text())

    # The saved model gets the run's score.
    model, output = finished / GENERATOR, tmp_path / "scores.json"
    arguments = ["--seed=3", "--scored=32", f"--output={output}"]
    assert main([f"--evaluate={model}", *arguments]) == 0
    written = json.loads(output.read_text())
    assert written["scores"] == pytest.approx(metrics["last"], rel=1e-3)
    assert written["protocol"]["classifier"] == protocol["classifier"]

    # Real images, of which the training images have distance 0 to themselves.
    assert main(["--evaluate=train", *arguments[1:]]) == 0
    written = json.loads(output.read_text())
    assert written["scores"]["frechet_distance"] == pytest.approx(0, abs=1e-3)


def test_comparison(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    fast_classifier(monkeypatch, tmp_path)
    scores_by_numpy(monkeypatch)
    folder = tmp_path / "study"
    command = [*SMALL, "--steps=3", "--snapshots=1", "--scored=32"]
    command += [f"--output={folder}", "--compare", "baseline"]
    assert main([*command, "--seeds", "0"]) == 0
    first = (folder / "baseline" / "seed_0" / "metrics.json").stat()
    assert main([*command, "mhe:half:2@0.1", "--seeds", "0", "1"]) == 0
    again = (folder / "baseline" / "seed_0" / "metrics.json").stat()
    assert again.st_mtime_ns == first.st_mtime_ns

    results = json.loads((folder / "comparison.json").read_text())["results"]
    variants = ["baseline", "mhe:half:2@0.1"]
    assert [r["variant"] for r in results] == variants
    assert [r["difference"] is None for r in results] == [True, False]
    scores = np.array([r["classifier_scores"] for r in results])
    for result, values in zip(results, scores, strict=True):
        assert result["classifier_score"] == pytest.approx(values.mean())
        spread = result["classifier_score_spread"]
        assert spread == pytest.approx(values.std(ddof=1))
    for result, values in zip(results[1:], scores[1:], strict=True):
        difference = (values - scores[0]).mean()
        assert result["difference"] == pytest.approx(difference)
    table = (folder / "comparison.md").read_text()
    assert table.strip() in capsys.readouterr().out
    assert "digits, 3 steps of 16 images, width 0.05, seeds 0, 1." in table
    assert "Scores of 32 images in 2 parts, last snapshot" in table
    written = json.loads((folder / "real.json").read_text())
    assert written["protocol"]["generated_images"] == 32
    real = written["scores"]
    assert f"| real test images | {real['classifier_score']:.3f} |" in table
    for name in ("comparison.png", "samples.png"):
        assert (folder / name).stat().st_size > 20_000


def test_generated_images(finished: Path, tmp_path: Path) -> None:
    model = str(finished / GENERATOR)
    seen = []
    for count, seed in (("5", "1"), ("9", "1"), ("5", "2")):
        output = tmp_path / f"{count}_{seed}.npz"
        command = ["--generate", count, model, f"--seed={seed}"]
        assert main([*command, f"--output={output}"]) == 0
        assert output.with_suffix(".png").exists()
        with np.load(output) as arrays:
            seen.append(arrays["images"])
    assert seen[0].shape == (5, 8, 8, 1)
    assert seen[0].dtype == "uint8"
    assert np.abs(seen[1][:5].astype(int) - seen[0]).max() <= 1
    assert not np.array_equal(seen[0], seen[2])


def test_killed_run_ends_like_uninterrupted(
    finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    command = [*SMALL, "--no-scores", "--seed=3", f"--output={folder}"]
    # In the second epoch of three steps.
    run_and_kill("mhe_gan", command, "batch", 5)
    assert len(read_history(folder)) == 1
    # While the last snapshot is being written.
    run_and_kill("mhe_gan", command, "half_best", 2)
    assert not (folder / GENERATOR).exists()
    assert main(command) == 0

    histories = [read_history(place) for place in (folder, finished)]
    assert histories[0].dtype.names == histories[1].dtype.names
    for name in histories[0].dtype.names:
        np.testing.assert_allclose(
            *(h[name] for h in histories), rtol=1e-3, atol=1e-5
        )
    for name in (GENERATOR, DISCRIMINATOR):
        models = [keras.models.load_model(f / name) for f in (folder, finished)]
        for one, other in zip(*(m.get_weights() for m in models), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    tables = [read_spectra(place / SPECTRA) for place in (folder, finished)]
    for name in tables[1]:
        np.testing.assert_allclose(
            tables[0][name], tables[1][name], rtol=1e-3, atol=1e-5
        )
    names = [
        {str(path.relative_to(place)) for path in place.rglob("*")}
        - {"metrics.json"}
        for place in (folder, finished)
    ]
    assert names[0] == names[1]


def test_another_configuration_is_refused(
    finished: Path, capsys: Capture
) -> None:
    command = [*SMALL, "--no-scores", f"--output={finished}"]
    capsys.readouterr()
    assert main(command) == 2
    message = one_line(capsys)
    assert "seed=3" in message
    assert "seed=0" in message


def test_diverging_run_ends_in_one_line(
    tmp_path: Path, capsys: Capture
) -> None:
    command = [*SMALL, "--no-scores", "--variant=baseline"]
    rate = "--learning_rate=1e30"
    assert main([*command, rate, f"--output={tmp_path / 'run'}"]) == 2
    assert "the training diverged" in one_line(capsys)
    assert not list(tmp_path.rglob("*.keras"))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--evaluate={}/none.keras", "is missing"),
        ("--evaluate={}/other.keras", "is not a generator"),
        ("--evaluate={}/broken.keras", "cannot be loaded"),
        ("--inception={}", "is neither a folder with saved_model.pb"),
    ],
)
def test_unusable_files(
    option: str,
    message: str,
    tmp_path: Path,
    monkeypatch: Patch,
    capsys: Capture,
) -> None:
    fast_classifier(monkeypatch, tmp_path)
    scores_by_numpy(monkeypatch)
    (tmp_path / "broken.keras").write_bytes(b"PK\3\4 and nothing else")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(
        tmp_path / "other.keras"
    )
    ending = ".json" if "evaluate" in option else ""
    output = f"--output={tmp_path / 'run'}{ending}"
    assert main([option.format(tmp_path), output]) == 2
    assert message in one_line(capsys)
    # It is noticed before a classifier is trained.
    assert not list(tmp_path.rglob("*classifier*"))


def test_missing_tensorflow_gan_is_noticed_before_the_training(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_gan", None)
    folder = tmp_path / "run"
    assert main([*SMALL, f"--output={folder}"]) == 2
    message = one_line(capsys)
    assert 'pip install ".[gan]"' in message
    assert "--no-scores" in message
    assert not folder.exists()


def test_missing_tensorflow_gan_is_noticed_before_images_are_generated(
    finished: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_gan", None)
    monkeypatch.setattr(use, "generate", lambda *_: pytest.fail("generated"))
    capsys.readouterr()
    assert main([f"--evaluate={finished / GENERATOR}"]) == 2
    assert 'pip install ".[gan]"' in one_line(capsys)


def test_a_run_without_snapshots_and_sheets(
    finished: Path, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    fast_classifier(monkeypatch, tmp_path / "home")
    scores_by_numpy(monkeypatch)
    folder = tmp_path / "run"
    removed = shutil.ignore_patterns("snapshots", "samples*")
    shutil.copytree(finished, folder, ignore=removed)
    (folder / "metrics.json").unlink(missing_ok=True)
    command = [*SMALL, "--seed=3", f"--output={folder}"]
    assert main([*command, "--no-scores"]) == 0
    pictures = capsys.readouterr().out.splitlines()[-1]
    assert pictures.endswith("singular_values.png")
    assert main([*command, "--scored=32"]) == 2
    message = one_line(capsys)
    assert "run holds no snapshot of the generator to score" in message


@needs_tfgan
def test_with_tensorflow_gan(tmp_path: Path, monkeypatch: Patch) -> None:
    fast_classifier(monkeypatch, tmp_path)
    found = []
    for name in ("tensorflow_gan", "numpy"):
        output = tmp_path / f"{name}.json"
        arguments = ["--evaluate=test", "--scored=200", f"--output={output}"]
        if name == "numpy":
            scores_by_numpy(monkeypatch)
        assert main(arguments) == 0
        found.append(json.loads(output.read_text())["scores"])
    for score in ("classifier_score", "frechet_distance"):
        assert found[0][score] == pytest.approx(
            found[1][score], rel=1e-3, abs=1e-4
        )

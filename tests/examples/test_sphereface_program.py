"""The SphereFace+ program from its command line to its files."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import sphereface_plus
from common.checkpoints import read_history
from keras_mhe import MHE
from keras_mhe.metrics import verify_pairs
from sphereface_plus import main
from support.command_line import one_line, refused
from support.small_identities import (
    DATA,
    SMALL,
    TRAINING,
    write_identities,
    write_pairs,
)
from verification.choices import method_of, recipe_of
from verification.methods import MARGINS
from verification.options import parse
from verification.recipes import SHORT


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_identities(tmp_path_factory.mktemp("data") / "people")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, people: Path) -> Path:
    """A finished run with the defaults of head and energy."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    arguments = [*SMALL, f"--data_dir={people}", f"--output={folder}"]
    assert main(arguments) == 0
    return folder


def test_run_fills_its_folder(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["steps"] == 5
    assert 0.5 <= metrics["verification_accuracy"] <= 1.0
    assert metrics["tpr_at_fpr"].keys() == {"0.01", "0.001"}
    configuration = json.loads((trained / "configuration.json").read_text())
    assert configuration["run"]["method"]["energy"] == "batch"
    assert configuration["run"]["recipe"]["training"]["steps"] == 5
    history = read_history(trained)
    # Three batches make an epoch.
    assert len(history) == 2
    assert history["val_verification"][-1] == pytest.approx(
        metrics["verification_accuracy"]
    )
    assert history["class_angle"][-1] == pytest.approx(
        metrics["smallest_angle"]
    )

    model = keras.models.load_model(trained / "last.keras")
    head = model.get_layer("head")
    assert isinstance(head.energy, MHE)
    assert head.energy.strength == 100.0
    # Three steps of the training without energy, five with it; lambda goes on.
    assert int(head.step) == 8
    assert history["lambda"][-1] == pytest.approx(1000 / (1 + 0.12 * 8))
    before = keras.models.load_model(trained / "pretraining" / "last.keras")
    assert before.get_layer("head").energy is None
    assert int(before.get_layer("head").step) == 3
    for name in ("training.png", "verification.png"):
        with Image.open(trained / name) as picture:
            assert picture.width > 1000
            assert np.asarray(picture.convert("L")).std() > 10


def test_saved_embedding_needs_no_library_and_gives_the_scores(
    trained: Path, people: Path
) -> None:
    """By hand: the pairs' cosines from the plain Keras model."""
    embedding = keras.models.load_model(trained / "embedding.keras")
    assert not any("mhe" in type(x).__module__ for x in embedding.layers)
    data = sphereface_plus.load_identity_folders(
        people, size=None, test_identities=20, num_pairs=40
    )
    images = data.x_test[:].astype("float32")
    features = np.concatenate(
        [
            embedding.predict(np.ascontiguousarray(x), verbose=0)
            for x in (images, images[:, :, ::-1])
        ],
        axis=1,
    )
    result = verify_pairs(
        features[data.pairs.first],
        features[data.pairs.second],
        data.pairs.is_same,
        folds=data.pairs.folds,
        center=True,
    )
    metrics = json.loads((trained / "metrics.json").read_text())
    assert result.accuracy == pytest.approx(metrics["verification_accuracy"])
    assert result.auc == pytest.approx(metrics["auc"], abs=1e-6)


@pytest.mark.parametrize("name", ["last.keras", "embedding.keras"])
def test_evaluate(
    name: str,
    trained: Path,
    people: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "scores.json"
    arguments = [
        *DATA,
        f"--data_dir={people}",
        f"--evaluate={trained / name}",
        f"--output={output}",
    ]
    assert main(arguments) == 0
    metrics = json.loads((trained / "metrics.json").read_text())
    scores = json.loads(output.read_text())
    for score in (
        "verification_accuracy",
        "verification_spread_of_folds",
        "equal_error_rate",
        "auc",
        "tpr_at_fpr",
    ):
        assert scores[score] == pytest.approx(metrics[score])
    accuracies = scores["accuracy_of_folds"]
    assert np.mean(accuracies) == pytest.approx(scores["verification_accuracy"])
    assert len(scores["thresholds"]) == len(accuracies) == 10
    assert scores["mirror"] is True
    printed = capsys.readouterr().out
    assert f"{scores['verification_accuracy']:.2%} right (10 folds" in printed


def test_pairs_of_lfw(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All identities are trained on; other people are verified."""
    file, images = write_pairs(tmp_path)
    folder = tmp_path / "run"
    pairs = ["--dataset=folders", f"--pairs_file={file}"]
    pairs += [f"--pairs_dir={images}"]
    training = [*TRAINING, f"--data_dir={people}", f"--output={folder}"]
    assert main([*pairs, *training]) == 0
    metrics = json.loads((folder / "metrics.json").read_text())
    assert str(file) in metrics["source"]
    head = keras.models.load_model(folder / "last.keras").get_layer("head")
    assert head.units == 26
    capsys.readouterr()
    scores = tmp_path / "scores.json"
    model = folder / "embedding.keras"
    assert main([*pairs, f"--evaluate={model}", f"--output={scores}"]) == 0
    assert "40 pairs: " in capsys.readouterr().out
    found = json.loads(scores.read_text())
    for score in ("verification_accuracy", "auc"):
        assert found[score] == pytest.approx(metrics[score])


def test_options_change_the_recipe() -> None:
    given = {
        "lambda_base": 500.0,
        "lambda_gamma": 0.5,
        "lambda_power": 2.0,
        "lambda_min": 3.0,
        "weight_decay": 0.25,
    }
    arguments = [f"--{name}={value}" for name, value in given.items()]
    options = parse([*DATA, "--data_dir=x", *arguments, "--no-mirror"])
    recipe = recipe_of(options, method_of(options))
    assert recipe == replace(SHORT["folders"], mirror=False, **given)


def test_embed_writes_embeddings_of_folders_and_files(
    trained: Path, people: Path, tmp_path: Path
) -> None:
    output = tmp_path / "embeddings.npz"
    folder, file = people / "person_03", people / "person_05" / "0001.png"
    model = trained / "last.keras"
    arguments = ["--embed", *map(str, (model, folder, file))]
    assert main([*arguments, f"--output={output}"]) == 0
    with np.load(output) as arrays:
        embeddings, files = arrays["embeddings"], arrays["files"]
    assert embeddings.shape == (7, 8)
    assert embeddings.dtype == "float32"
    assert files.tolist() == [
        *(str(folder / f"{index:04}.png") for index in range(6)),
        str(file),
    ]
    network = keras.models.load_model(trained / "embedding.keras")
    pixels = np.asarray(Image.open(file), "float32")[np.newaxis]
    expected = network.predict(pixels, verbose=0)[0]
    np.testing.assert_allclose(embeddings[-1], expected, rtol=1e-4, atol=1e-4)
    assert main([*arguments, "--mirror", f"--output={output}"]) == 0
    with np.load(output) as arrays:
        both = arrays["embeddings"][-1]
    pixels = np.ascontiguousarray(pixels[:, :, ::-1])
    mirrored = network.predict(pixels, verbose=0)[0]
    np.testing.assert_allclose(
        both, np.concatenate([expected, mirrored]), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("head", list(MARGINS))
def test_every_head_trains_with_the_energy_of_all_classes(
    head: str, people: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    scale = [] if head == "sphereface" else ["--scale=8"]
    arguments = [
        *SMALL[:-2],
        "--pretrain_epochs=0",
        "--steps=3",
        f"--head={head}",
        *scale,
        "--energy=full",
        "--power_s=a1",
        f"--data_dir={people}",
        f"--output={folder}",
    ]
    assert main(arguments) == 0
    assert np.isfinite(read_history(folder)["loss"]).all()
    head_layer = keras.models.load_model(folder / "last.keras").get_layer(
        "head"
    )
    energy = head_layer.kernel_regularizer.regularizers[0]
    assert (energy.distance, energy.power) == ("angular", 1)
    assert not (folder / "pretraining").exists()


@pytest.mark.parametrize("size", [2, 3])
def test_small_embeddings_are_drawn(
    size: int, people: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    arguments = [
        *SMALL,
        f"--embedding_size={size}",
        "--identities=4",
        f"--data_dir={people}",
        f"--output={folder}",
    ]
    assert main(arguments) == 0
    with Image.open(folder / "features.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10
    head = keras.models.load_model(folder / "last.keras").get_layer("head")
    assert tuple(head.kernel.shape) == (size, 4)


@pytest.mark.parametrize(
    ("name", "option", "steps"),
    [
        ("last.keras", "--learning_rate=1e-30", 8 + 1),
        # The embedding alone, and other classes: the head starts anew.
        ("embedding.keras", "--learning_rate=1e-30", 1),
        ("last.keras", "--identities=4", 1),
    ],
)
def test_pretrained_model_is_where_the_run_begins(
    name: str,
    option: str,
    steps: int,
    trained: Path,
    people: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    arguments = [
        *SMALL[:-2],
        "--steps=1",
        "--learning_rate=1e-30",
        option,
        f"--pretrained={trained / name}",
        f"--data_dir={people}",
        f"--output={folder}",
    ]
    assert main(arguments) == 0
    model = keras.models.load_model(folder / "last.keras")
    first = keras.models.load_model(trained / "last.keras")
    np.testing.assert_allclose(
        *(m.get_layer("features").get_weights()[0] for m in (model, first))
    )
    assert int(model.get_layer("head").step) == steps
    metrics = json.loads((folder / "metrics.json").read_text())
    # Nothing moved, so what it began with is what it has.
    assert metrics["smallest_angle_before"] == pytest.approx(
        metrics["smallest_angle"], rel=1e-4
    )
    assert (folder / "verification.png").exists()


@pytest.mark.parametrize("steps", ["--steps=5", "--steps=1"])
def test_divergence_is_one_line_and_keeps_what_was_saved(
    steps: str, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also in the last step, whose loss is still finite."""
    folder = tmp_path / "run"
    arguments = [
        *SMALL[:-1],
        steps,
        "--learning_rate=1e30",
        f"--data_dir={people}",
        f"--output={folder}",
    ]
    assert main(arguments) == 2
    message = one_line(capsys)
    assert "diverged" in message
    assert "--learning_rate" in message
    saved = {path.name for path in folder.iterdir() if path.is_file()}
    assert saved <= {"configuration.json", "history.csv"}
    before = keras.models.load_model(folder / "pretraining" / "last.keras")
    assert all(np.isfinite(w).all() for w in before.get_weights())


def test_damaged_image_in_training_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its header is fine; what is behind is met in the training."""
    people = write_identities(tmp_path / "people")
    for person in people.iterdir():
        for file in person.iterdir():
            file.write_bytes(file.read_bytes()[:300])
    folder = tmp_path / "run"
    arguments = [*SMALL, f"--data_dir={people}", f"--output={folder}"]
    assert main(arguments) == 2
    message = one_line(capsys)
    assert ".png" in message
    assert "person_" in message


@pytest.mark.parametrize("option", ["--data_seed=1", "--num_pairs=20"])
def test_other_data_are_refused(
    option: str,
    trained: Path,
    people: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [*SMALL, f"--data_dir={people}", f"--output={trained}"]
    assert main(arguments) == 0
    assert main([*arguments, option]) == 2
    message = one_line(capsys)
    assert "holds a run with data=" in message


def test_output_that_cannot_be_written_is_one_line(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    arguments = [*SMALL, f"--data_dir={people}", f"--output={taken}"]
    assert main(arguments) == 2
    message = one_line(capsys)
    assert str(taken) in message


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--dataset=folders", "--data_dir=missing"], ["missing"]),
        (["--evaluate=missing.keras"], ["missing.keras", ".keras file"]),
        (["--embed", "missing.keras", "x.png"], ["missing.keras"]),
        (["--identities=100000"], ["--identities=100000", "1560", "fewer."]),
        (["--pretrained=missing.keras"], ["missing.keras"]),
    ],
)
def test_unusable_input_is_one_line_and_code_2(
    arguments: list[str],
    parts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    message = one_line(capsys)
    assert all(part in message for part in parts)
    assert not list(tmp_path.iterdir())


def test_damaged_and_foreign_models_are_refused(
    trained: Path,
    people: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes((trained / "last.keras").read_bytes()[:5000])
    foreign = tmp_path / "foreign.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(foreign)
    small = write_identities(tmp_path / "few", identities=2, images=1)
    Image.new("RGB", (8, 8)).save(small / "wrong.png")
    last = trained / "last.keras"
    for arguments, part in (
        (["--embed", damaged, small], "cannot be loaded as a Keras model"),
        (["--embed", foreign, small], "no layer named 'features'"),
        (["--embed", last, small / "wrong.png"], "wrong.png"),
        (["--evaluate", last], "takes images of the shape (16, 16, 3)"),
    ):
        assert main([str(argument) for argument in arguments]) == 2
        message = one_line(capsys)
        assert part in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--head=cosine"], "invalid choice: 'cosine'"),
        (["--margin=5"], "`margin` must be an integer in [1, 4]"),
        (["--margin=1.5"], "`margin` must be an integer in [1, 4]"),
        (["--head=softmax", "--margin=1"], "--margin does nothing with"),
        (["--scale=3"], "--scale does nothing with --head sphereface"),
        (["--head=arcface", "--lambda_min=1"], "--lambda_min does nothing"),
        (["--feature_norm=soft"], "--feature_norm does nothing"),
        (["--head=cosface", "--gradient_detachment"], "does nothing with"),
        (["--energy=none", "--strength=1"], "with --energy none"),
        (["--data_dir=x"], "--data_dir does nothing with --dataset glyphs"),
        (
            ["--pretrain_epochs=0", "--pretrain_learning_rate=1"],
            "with no training before",
        ),
        (["--compare", "softmax", "--head=arcface"], "which names methods"),
        (["--compare", "softmax", "--seed=1"], "which names methods"),
        (["--evaluate=x", "--epochs=3"], "--epochs does nothing"),
        (["--embed", "x", "y", "--num_pairs=20"], "--num_pairs does nothing"),
        (["--identities=1"], "must be an integer >= 2"),
        (["--embedding_size=1"], "must be an integer >= 2"),
        (["--head=arcface", "--margin=3"], "`margin` must be"),
        (["--strength=0"], "must be a number > 0"),
        (["--dataset=folders"], "needs --data_dir"),
        (
            ["--dataset=folders", "--data_dir=x", "--pairs_file=y"],
            "go together",
        ),
        (["--num_pairs=30"], "multiple of 20"),
        (["--seeds", "1"], "--seeds goes with --compare"),
        (["--embed", "model.keras"], "at least one image"),
        (["--evaluate=x", "--compare", "softmax"], "two jobs"),
        (
            ["--evaluate=x", "--output=x.txt"],
            "--output of --evaluate must end in .json",
        ),
        (
            ["--embed", "x", "y", "--output=x.json"],
            "--output of --embed must end in .npz",
        ),
        (["--pretrained=x", "--pretrain_epochs=2"], "in place of"),
        (["--compare", "softmax:2"], "Received: 'softmax:2'"),
        (["--compare", "arcface+mini"], "Received: 'arcface+mini'"),
        (["--compare", "arcface+batch:3"], "Received: 'arcface+batch:3'"),
        (["--compare", "cosface:x"], "Received: 'cosface:x'"),
        (["--compare", "softmax+batch@0"], "strength must be"),
        (["--compare", "sphereface:7"], "`margin` must be"),
        (
            ["--compare", "softmax", "softmax"],
            "--compare names softmax twice",
        ),
    ],
)
def test_wrong_options_exit_with_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(main, arguments, capsys)

"""Inception from a local file, with small networks in the same formats."""

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import mhe_gan
from common.dataset_types import DataError, ImageData
from generation import inception
from generation.inception import inception_from
from mhe_gan import main
from support import inception_stand_in
from support.gan_program import scores_by_numpy
from support.inception_stand_in import PART, WEIGHTS

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None,
    reason="modules of TensorFlow need TensorFlow",
)
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (3, 8, 8, 3), dtype="uint8")


def enlarged_mean(
    images: np.ndarray, half_pixel_centers: bool, middle: float
) -> np.ndarray:
    """Returns the mean of a part of images, bilinearly enlarged, scaled."""

    def weights(side: int) -> np.ndarray:
        shift = 0.5 if half_pixel_centers else 0.0
        place = (np.arange(299) + shift) * side / 299 - shift
        place = place.clip(0, side - 1)
        below = np.floor(place).astype(int)
        table = np.zeros((299, side))
        table[np.arange(299), below] = 1.0 - (place - below)
        table[np.arange(299), np.minimum(below + 1, side - 1)] += place - below
        return table

    rows = weights(images.shape[1])[: PART[0]].mean(axis=0)
    columns = weights(images.shape[2])[: PART[1]].mean(axis=0)
    mean = np.einsum("h,w,nhwc->nc", rows, columns, images.astype("float64"))
    mean = np.broadcast_to(mean, (len(images), 3))
    return (mean - middle) / middle


def small_inception(
    weights: str | None = "imagenet", classifier_activation: str = "softmax"
) -> keras.Model:
    """A network with the signature, inputs and layers of the real one."""
    inputs = keras.Input((299, 299, 3))
    crop = ((0, 299 - PART[0]), (0, 299 - PART[1]))
    x = layers.Cropping2D(crop)(inputs)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dense(
        4, activation=classifier_activation, use_bias=False, name="predictions"
    )(x)
    model = keras.Model(inputs, x)
    if weights is not None:
        model.load_weights(weights)
    return model


def write_weights(path: Path, kernel_of_file: np.ndarray = WEIGHTS) -> Path:
    """Writes a kernel in the format of Keras' published files."""
    with h5py.File(path, "w") as file:
        file.attrs["backend"] = "tensorflow"
        file.attrs["keras_version"] = "2.1.5"
        names = [layer.name for layer in small_inception(None).layers]
        file.attrs["layer_names"] = [name.encode() for name in names]
        for name in names:
            group = file.create_group(name)
            is_dense = name == "predictions"
            kernels = [b"predictions/kernel:0"] if is_dense else []
            group.attrs["weight_names"] = kernels
            for kernel in kernels:
                group[kernel.decode()] = kernel_of_file
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_keras_weights(
    channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.applications, "InceptionV3", small_inception)
    path = write_weights(tmp_path / "weights.h5")
    classifier = inception_from(path)
    assert classifier.name == "Keras InceptionV3 weights.h5"
    assert classifier.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert classifier.test_accuracy is None
    images = PIXELS[..., :channels]
    logits, features = classifier(images)
    expected = enlarged_mean(images, True, 127.5)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits, expected @ WEIGHTS, rtol=1e-4, atol=1e-4)


def test_the_real_network_has_these_layers() -> None:
    # Its 24 million weights need not be drawn.
    with keras.StatelessScope(initialize_variables=False):
        network = keras.applications.InceptionV3(
            weights=None, classifier_activation=None
        )
    keras.utils.clear_session()
    assert network.input_shape == (None, 299, 299, 3)
    assert network.output_shape == (None, 1000)
    assert network.get_layer("avg_pool").output.shape == (None, 2048)


def test_other_weights_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.applications, "InceptionV3", small_inception)
    # In the right format, but without a row.
    path = write_weights(tmp_path / "weights.h5", WEIGHTS[1:])
    with pytest.raises(DataError, match="does not hold weights of") as error:
        inception_from(path)
    assert len(str(error.value).splitlines()) == 1


def test_a_damaged_download_is_not_opened(tmp_path: Path) -> None:
    path = write_weights(tmp_path / inception.PUBLISHED.name)
    with pytest.raises(DataError, match="does not have the published checksum"):
        inception_from(path)


@pytest.mark.parametrize("name", ["none", "none.h5", "."])
def test_what_is_neither_module_nor_weights(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither a folder with saved_model"):
        inception_from(tmp_path / name)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modules") / "inception"
    program = str(Path(inception_stand_in.__file__))
    subprocess.run([sys.executable, program, str(folder)], check=True)
    return folder


@needs_tensorflow
@pytest.mark.parametrize(
    ("name", "channels"), [("inception", 1), ("inception_named", 3)]
)
def test_module_of_tensorflow(name: str, channels: int, module: Path) -> None:
    classifier = inception_from(module.with_name(name))
    assert classifier.name == f"Inception module {name}"
    # More than one batch, the last one smaller.
    images = np.tile(PIXELS, (18, 1, 1, 1))[..., :channels]
    logits, features = classifier(images)
    expected = enlarged_mean(images, False, 128.0)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits, expected @ WEIGHTS, rtol=1e-4, atol=1e-4)


@needs_tensorflow
def test_checksum_of_a_module(module: Path, tmp_path: Path) -> None:
    before = inception_from(module).sha256
    assert inception_from(module).sha256 == before
    (module / "assets" / "one_more").write_text("")
    assert inception_from(module).sha256 != before


@needs_tensorflow
def test_a_damaged_module_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"half")
    with pytest.raises(
        DataError, match=r"inception_module\.py failed"
    ) as error:
        inception_from(tmp_path)(PIXELS)
    assert len(str(error.value).splitlines()) == 1


def test_program_scores_by_inception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores_by_numpy(monkeypatch)
    monkeypatch.setattr(keras.applications, "InceptionV3", small_inception)
    path = write_weights(tmp_path / "weights.h5")
    output = tmp_path / "scores.json"
    command = ["--evaluate=test", "--scored=40", f"--inception={path}"]
    assert main([*command, f"--output={output}"]) == 0
    written = json.loads(output.read_text())
    protocol = written["protocol"]
    assert protocol["classifier"] == "Keras InceptionV3 weights.h5"
    assert protocol["classifier_test_accuracy"] is None
    assert 1.0 <= written["scores"]["classifier_score"] <= 4.0


def colored_squares() -> ImageData:
    """Images of the shape of CIFAR-10's, a color for each class."""
    labels = np.tile(np.arange(10), 4)
    colors = np.stack([25 * labels, 255 - 25 * labels, 100 + labels], axis=-1)
    images = np.broadcast_to(
        colors[:, None, None, :].astype("uint8"), (40, 32, 32, 3)
    )
    return ImageData(
        "cifar10",
        images,
        labels,
        images[:20],
        labels[:20],
        tuple("abcdefghij"),
        "made here",
    )


def test_color_images_from_the_command_line_to_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores_by_numpy(monkeypatch)
    monkeypatch.setattr(keras.applications, "InceptionV3", small_inception)
    path = write_weights(tmp_path / "weights.h5")
    monkeypatch.setattr(
        mhe_gan, "load_image_data", lambda name, place: colored_squares()
    )
    folder = tmp_path / "run"
    options = {
        "dataset": "cifar10",
        "recipe": "published",
        "batch_size": 4,
        "steps": 2,
        "steps_per_epoch": 1,
        "snapshots": 1,
        "width": 0.02,
        "average": 0.5,
        "scored": 20,
        "inception": path,
        "output": folder,
    }
    command = [f"--{name}={value}" for name, value in options.items()]
    assert main([*command, "--no-flip", "--variant=mhe"]) == 0
    configuration = json.loads((folder / "configuration.json").read_text())
    recipe = configuration["run"]["recipe"]
    assert (recipe["average"], recipe["flip"]) == (0.5, False)
    assert recipe["learning_rate"] == 1e-4
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["protocol"]["classifier"] == "Keras InceptionV3 weights.h5"
    with Image.open(folder / "samples" / "step_000002.png") as sheet:
        assert sheet.mode == "RGB"
    comparison = [part for part in command if "--output" not in part]
    comparison += [f"--output={tmp_path / 'study'}", "--seeds", "0"]
    assert main([*comparison, "--compare", "baseline", "sn"]) == 0
    table = (tmp_path / "study" / "comparison.md").read_text()
    assert "| sn |" in table

"""`keras_datasets`: what Keras downloads, with Keras replaced by a stand-in."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from common.cifar import load_cifar10, load_cifar100
from common.dataset_types import DataError
from common.fashion_mnist import load_fashion_mnist


def load_fashion_mnist_without_debian():
    return load_fashion_mnist(debian_folder=Path("no such folder"))


LOADERS = {
    "fashion_mnist": load_fashion_mnist_without_debian,
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
}


@pytest.fixture
def replace_keras(monkeypatch):
    def replace(load_data):
        dataset = SimpleNamespace(load_data=load_data)
        datasets = SimpleNamespace(**dict.fromkeys(LOADERS, dataset))
        keras = SimpleNamespace(datasets=datasets)
        monkeypatch.setitem(sys.modules, "keras", keras)

    return replace


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize(
    "failure",
    [
        Exception("URL fetch failure on https://host/file: None --\n no route"),
        OSError(28, "No space left on device"),
        ValueError("Incomplete or corrupted file detected."),
    ],
)
def test_failed_download_is_one_line_of_advice(name, failure, replace_keras):
    def load_data():
        raise failure

    replace_keras(load_data)
    with pytest.raises(DataError) as error:
        LOADERS[name]()
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert f"keras.datasets.{name}" in message
    assert "--data_dir" in message
    assert str(failure).splitlines()[0] in message


def test_failed_fashion_mnist_download_names_the_debian_package(replace_keras):
    def load_data():
        raise Exception("URL fetch failure")

    replace_keras(load_data)
    with pytest.raises(DataError, match="dataset-fashion-mnist"):
        load_fashion_mnist_without_debian()


def test_grey_images_get_a_channel(replace_keras):
    images = np.arange(2 * 28 * 28).reshape(2, 28, 28).astype(np.uint8)
    labels = np.array([9, 0], np.uint8)
    replace_keras(lambda: ((images, labels), (images[:1], labels[:1])))

    dataset = load_fashion_mnist_without_debian()
    assert dataset.name == "fashion_mnist"
    assert dataset.source == "keras.datasets.fashion_mnist"
    np.testing.assert_array_equal(dataset.x_train, images[..., np.newaxis])
    assert dataset.x_test.shape == (1, 28, 28, 1)
    assert dataset.y_train.dtype == np.int64
    assert dataset.y_train.tolist() == [9, 0]
    assert len(dataset.class_names) == 10


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize(
    ("name", "num_classes"), [("cifar10", 10), ("cifar100", 100)]
)
def test_colour_images_end_with_channels(
    name, num_classes, data_format, replace_keras
):
    rng = np.random.default_rng(0)
    expected = rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    images = expected
    if data_format == "channels_first":
        images = expected.transpose(0, 3, 1, 2)
    labels = np.array([[3], [1], [0], [2]], np.uint8)
    replace_keras(lambda: ((images, labels), (images[:2], labels[:2])))

    dataset = LOADERS[name]()
    np.testing.assert_array_equal(dataset.x_train, expected)
    np.testing.assert_array_equal(dataset.x_test, expected[:2])
    assert dataset.y_train.tolist() == [3, 1, 0, 2]
    assert dataset.y_test.shape == (2,)
    assert len(set(dataset.class_names)) == num_classes
    assert list(dataset.class_names) == sorted(dataset.class_names)

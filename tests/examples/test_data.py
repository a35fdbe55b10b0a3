"""Images with labels from all their sources, and what is refused."""

import gzip
import os
import struct
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

import data
from data import UserError, load_images, subset

pytestmark = pytest.mark.once


@pytest.fixture
def folder(tmp_path):
    """Two images of three classes to train on and one to test on each."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 2), ("test", 1)):
        for label in ("apple", "bear", "clock"):
            place = tmp_path / "images" / part / label
            place.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (6, 5, 3), "uint8")
                Image.fromarray(pixels).save(place / f"{number:04}.png")
    return tmp_path / "images"


def zipped(folder, root=""):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, root + file.relative_to(folder).as_posix())
        archive.writestr("__MACOSX/train/apple/._0000.png", "of a file manager")
        archive.writestr(f"{root}train/apple/.hidden.png", "no image")
        archive.writestr(f"{root}train/notes.txt", "no image")
    return path


def test_folder_and_zip_hold_the_same(folder):
    grey = Image.new("L", (5, 6), 77)
    grey.save(folder / "train" / "clock" / "0002.JPG")
    of_folder = load_images("cifar100", folder)
    of_zip = load_images("cifar100", zipped(folder, "cifar/"))
    first = Image.open(folder / "train" / "apple" / "0000.png")
    np.testing.assert_array_equal(of_folder.x_train[0], first)
    assert of_folder.x_train.shape == (7, 6, 5, 3)
    assert (of_folder.x_train[-1] == 77).all()
    assert of_folder.y_train.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert of_folder.y_test.tolist() == [0, 1, 2]
    assert of_folder.num_classes == 3
    for name in ("x_train", "y_train", "x_test", "y_test"):
        both = (getattr(images, name) for images in (of_folder, of_zip))
        np.testing.assert_array_equal(*both)


def refused(path, dataset="cifar10"):
    with pytest.raises(UserError) as caught:
        load_images(dataset, path)
    return str(caught.value)


def test_what_is_not_images_is_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "train/CLASS/NAME" in refused(tmp_path / "empty")
    (folder / "test" / "bear").rename(folder / "test" / "beer")
    assert "beer in test only" in refused(folder)
    archive = tmp_path / "cifar-10-python.tar.gz"
    archive.write_bytes(gzip.compress(b"pickles"))
    assert "leave --data_dir out" in refused(archive)
    # A pipe is not waited for.
    os.mkfifo(folder / "train" / "bear" / "0005.png")
    (folder / "test" / "beer").rename(folder / "test" / "bear")
    assert "0005.png is missing, or is no regular file" in refused(folder)


def test_damaged_images_are_named(folder):
    path = zipped(folder)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 20] ^= 255
    path.write_bytes(content)
    assert "test/apple/0000.png cannot be decoded (Bad CRC" in refused(path)
    path = folder / "train" / "bear" / "0001.png"
    path.write_bytes(path.read_bytes()[:80])
    assert "train/bear/0001.png cannot be decoded" in refused(folder)
    Image.new("RGB", (9, 6)).save(path)
    message = refused(folder)
    assert "height 6 and width 5, received Pillow's mode RGB" in message


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim])
    lengths = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + lengths + array.tobytes()))


def test_idx_files(tmp_path, monkeypatch):
    x = np.random.default_rng(0).integers(0, 256, (6, 4, 4), "uint8")
    y = np.arange(6, dtype="uint8")
    for name, array in zip(data.IDX_FILES, (x, y, x[:2], y[:2]), strict=True):
        write_idx(tmp_path / name, array)
    monkeypatch.setattr(data, "DEBIAN", tmp_path)
    images = load_images("fashion_mnist")
    np.testing.assert_array_equal(images.x_train[..., 0], x)
    assert images.y_test.tolist() == [0, 1]
    labels = tmp_path / data.IDX_FILES[1]
    write_idx(labels, y[:5])
    assert "not as many labels" in refused(tmp_path, "fashion_mnist")
    labels.write_bytes(labels.read_bytes()[:-9])
    assert "no complete IDX file" in refused(tmp_path, "fashion_mnist")


def test_keras_datasets(monkeypatch):
    x, y = np.zeros((4, 32, 32, 3), "uint8"), np.array([[3], [0], [1], [2]])
    loaded = ((x, y), (x[:1], y[:1]))
    monkeypatch.setattr(keras.datasets.cifar100, "load_data", lambda: loaded)
    images = load_images("cifar100")
    assert images.y_train.tolist() == [3, 0, 1, 2]
    assert images.num_classes == 4
    # What a failed download raises is of no type that one could catch.
    monkeypatch.setattr(keras.datasets.cifar100, "load_data", lambda: 1 / 0)
    assert "Give its images with --data_dir" in refused(None, "cifar100")


def test_subsets_have_classes_alike():
    labels = np.repeat([0, 1, 2], [50, 20, 2])
    x, y = subset(np.arange(72), labels, 32, seed=1)
    assert np.bincount(y).tolist() == [15, 15, 2]
    np.testing.assert_array_equal(labels[x], y)
    smaller, _ = subset(np.arange(72), labels, 9, seed=1)
    assert set(smaller) < set(x)

"""`fashion_mnist` and `idx_files`, on small files in the same format."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from common.dataset_types import DataError
from common.fashion_mnist import FASHION_MNIST_FILES, load_fashion_mnist
from common.idx_files import parse_idx
from common.verified_files import FileSpec

NAMES = {key: specs[0].name for key, specs in FASHION_MNIST_FILES.items()}


def idx_bytes(array):
    header = bytes([0, 0, 8, array.ndim])
    header += struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def make_arrays():
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (12, 28, 28), dtype=np.uint8),
        "y_train": rng.integers(0, 10, 12, dtype=np.uint8),
        "x_test": rng.integers(0, 256, (5, 28, 28), dtype=np.uint8),
        "y_test": rng.integers(0, 10, 5, dtype=np.uint8),
    }


def write_files(folder, arrays):
    """Writes the four files; returns their specs."""
    specs = {}
    for key, array in arrays.items():
        contents = idx_bytes(array)
        (folder / NAMES[key]).write_bytes(contents)
        digest = f"sha256:{hashlib.sha256(contents).hexdigest()}"
        specs[key] = (FileSpec(NAMES[key], len(contents), digest),)
    return specs


def message_of(folder, files):
    with pytest.raises(DataError) as error:
        load_fashion_mnist(folder, files=files)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize("place", ["data_dir", "debian_folder"])
def test_round_trip(tmp_path, place):
    arrays = make_arrays()
    files = write_files(tmp_path, arrays)
    dataset = load_fashion_mnist(files=files, **{place: tmp_path})

    for part in ("train", "test"):
        images = getattr(dataset, f"x_{part}")
        labels = getattr(dataset, f"y_{part}")
        np.testing.assert_array_equal(images[..., 0], arrays[f"x_{part}"])
        np.testing.assert_array_equal(labels, arrays[f"y_{part}"])
        assert images.dtype == np.uint8
        assert labels.dtype == np.int64
        assert images.shape[1:] == (28, 28, 1)
    assert dataset.name == "fashion_mnist"
    assert dataset.source == str(tmp_path)


def test_data_dir_comes_before_debian(tmp_path):
    files = write_files(tmp_path, make_arrays())
    empty = tmp_path / "debian"
    empty.mkdir()
    dataset = load_fashion_mnist(tmp_path, files=files, debian_folder=empty)
    assert dataset.source == str(tmp_path)


@pytest.mark.parametrize("key", NAMES)
def test_missing_file_is_named_with_advice(tmp_path, key):
    files = write_files(tmp_path, make_arrays())
    (tmp_path / NAMES[key]).unlink()
    message = message_of(tmp_path, files)
    assert NAMES[key] in message
    assert "missing" in message
    assert "dataset-fashion-mnist" in message


@pytest.mark.parametrize("key", NAMES)
def test_truncated_file(tmp_path, key):
    files = write_files(tmp_path, make_arrays())
    path = tmp_path / NAMES[key]
    path.write_bytes(path.read_bytes()[:-1])
    message = message_of(tmp_path, files)
    assert NAMES[key] in message
    assert "incomplete" in message


@pytest.mark.parametrize("key", NAMES)
def test_one_flipped_byte(tmp_path, key):
    files = write_files(tmp_path, make_arrays())
    path = tmp_path / NAMES[key]
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 0xFF
    path.write_bytes(contents)
    message = message_of(tmp_path, files)
    assert NAMES[key] in message
    assert "checksum" in message


def test_different_numbers_of_images_and_labels(tmp_path):
    arrays = make_arrays()
    arrays["y_test"] = arrays["y_test"][:-1]
    files = write_files(tmp_path, arrays)
    assert "5 test images but 4 labels" in message_of(tmp_path, files)


def test_published_files_are_pinned_twice_each():
    for key, (published, debian) in FASHION_MNIST_FILES.items():
        assert key in ("x_train", "y_train", "x_test", "y_test")
        # The gzip header of the published file also holds its name.
        name_length = len(published.name.removesuffix(".gz")) + 1
        assert published.size - debian.size == name_length
        assert published.name == debian.name


IMAGES = np.zeros((2, 3, 4), np.uint8)


@pytest.mark.parametrize(
    ("compressed", "problem"),
    [
        (b"not gzip at all", "not a complete gzip file"),
        (idx_bytes(IMAGES)[:-9], "not a complete gzip file"),
        (gzip.compress(b""), "not an IDX file of 3 axes"),
        (gzip.compress(b"\0\0\x08\x03\0\0"), "not an IDX file of 3 axes"),
        (idx_bytes(IMAGES[0]), "received 00000802"),
        (gzip.compress(b"\0\0\x0d\x03" + bytes(36)), "received 00000d03"),
        (
            gzip.compress(
                struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4) + b"\0" * 23
            ),
            r"announces the shape \(2, 3, 4\), but holds 23 elements",
        ),
    ],
    ids=["no gzip", "cut", "empty", "no shape", "rank", "dtype", "too few"],
)
def test_malformed_idx(tmp_path, compressed, problem):
    with pytest.raises(DataError, match=problem) as error:
        parse_idx(compressed, ndim=3, path=tmp_path / "images.gz")
    assert "images.gz" in str(error.value)
    assert len(str(error.value).splitlines()) == 1

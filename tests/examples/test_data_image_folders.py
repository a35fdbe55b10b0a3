"""`image_folders`, on small folders and zip files of JPEG and PNG files."""

import io
import shutil
import sys
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from common.cifar import load_cifar10
from common.dataset_types import DataError
from common.image_folders import FolderSpec

SPEC = FolderSpec(("ape", "bee", "cat"), train_per_class=3, test_per_class=2)
COUNTS = {"train": SPEC.train_per_class, "test": SPEC.test_per_class}
PART_AND_NAME = [
    (part, f"{part}/{class_name}/{index:04}")
    for part, count in COUNTS.items()
    for class_name in SPEC.class_names
    for index in range(count)
]


def make_images():
    """Pixels by name without suffix, in the order they must be loaded in."""
    rng = np.random.default_rng(0)
    return {
        name: rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        for _, name in PART_AND_NAME
    }


def encoded(pixels, suffix=".png"):
    buffer = io.BytesIO()
    kind = {".png": "PNG", ".jpg": "JPEG", ".gif": "GIF"}[suffix]
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def make_files(suffix=".png", root=""):
    return {
        f"{root}{name}{suffix}": encoded(pixels, suffix)
        for name, pixels in make_images().items()
    }


def write_folder(parent, files):
    for name, contents in files.items():
        path = parent / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    return parent / "images"


def write_zip(parent, files, compression=zipfile.ZIP_STORED):
    path = parent / "images.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        # Not sorted, as in files found in the wild.
        for name, contents in reversed(files.items()):
            archive.writestr(name, contents)
    return path


WRITERS = {"folder": write_folder, "zip": write_zip}
FORMS = pytest.mark.parametrize("form", WRITERS)


def load(path):
    return load_cifar10(path, folders=SPEC)


def message_of(path):
    with pytest.raises(DataError) as error:
        load(path)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert str(path) in message
    return message


@FORMS
@pytest.mark.parametrize("root", ["", "CIFAR/"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_round_trip(tmp_path, form, root, suffix):
    files = make_files(suffix, root)
    dataset = load(WRITERS[form](tmp_path, files))

    expected = {"train": [], "test": []}
    for part, name in PART_AND_NAME:
        contents = files[f"{root}{name}{suffix}"]
        expected[part].append(np.asarray(Image.open(io.BytesIO(contents))))
    np.testing.assert_array_equal(dataset.x_train, expected["train"])
    np.testing.assert_array_equal(dataset.x_test, expected["test"])
    assert dataset.y_train.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert dataset.y_test.tolist() == [0, 0, 1, 1, 2, 2]
    assert dataset.x_train.dtype == np.uint8
    assert dataset.y_train.dtype == dataset.y_test.dtype == np.int64
    assert dataset.class_names == SPEC.class_names


def test_png_keeps_every_pixel(tmp_path):
    dataset = load(write_zip(tmp_path, make_files(".png")))
    pixels = make_images()
    np.testing.assert_array_equal(dataset.x_train[4], pixels["train/bee/0001"])
    np.testing.assert_array_equal(dataset.x_test[5], pixels["test/cat/0001"])


def test_compressed_zip(tmp_path):
    path = write_zip(tmp_path, make_files(), zipfile.ZIP_DEFLATED)
    assert len(load(path).x_train) == 9


def test_zip_in_the_folder(tmp_path):
    path = write_zip(tmp_path, make_files())
    path = path.rename(tmp_path / "cifar10.zip")
    assert load(tmp_path).source == str(path)


@FORMS
def test_files_of_the_operating_system_are_ignored(tmp_path, form):
    files = make_files()
    files["train/ape/.DS_Store"] = b"x"
    files["train/ape/._0000.png"] = b"x"
    files["__MACOSX/train/ape/0000.png"] = b"x"
    files["README.txt"] = b"x"
    assert len(load(WRITERS[form](tmp_path, files)).x_train) == 9


@FORMS
@pytest.mark.parametrize("part", COUNTS)
def test_missing_class(tmp_path, form, part):
    files = make_files()
    kept = {k: v for k, v in files.items() if not k.startswith(f"{part}/bee/")}
    message = message_of(WRITERS[form](tmp_path, kept))
    assert f"{part} must hold images of exactly 3 classes" in message
    assert "missing: ['bee'], unexpected: []" in message


@FORMS
def test_unexpected_class(tmp_path, form):
    files = make_files()
    files["test/dog/0000.png"] = files["test/cat/0000.png"]
    message = message_of(WRITERS[form](tmp_path, files))
    assert "missing: [], unexpected: ['dog']" in message


@FORMS
def test_missing_image(tmp_path, form):
    files = make_files(root="CIFAR/")
    del files["CIFAR/test/cat/0001.png"]
    message = message_of(WRITERS[form](tmp_path, files))
    assert "CIFAR/test/cat must hold 2 images, received 1" in message


@FORMS
def test_surplus_image(tmp_path, form):
    files = make_files()
    files["train/cat/0003.jpg"] = encoded(np.zeros((32, 32, 3), np.uint8))
    message = message_of(WRITERS[form](tmp_path, files))
    assert "train/cat must hold 3 images, received 4" in message


@FORMS
def test_missing_part(tmp_path, form):
    files = make_files()
    kept = {k: v for k, v in files.items() if k.startswith("train/")}
    message = message_of(WRITERS[form](tmp_path, kept))
    assert "test must hold images of exactly 3 classes" in message


@FORMS
def test_two_copies_of_the_folders(tmp_path, form):
    files = make_files(root="one/") | make_files(root="two/")
    message = message_of(WRITERS[form](tmp_path, files))
    assert "one folder train and one folder test" in message


def test_zip_without_the_folders(tmp_path):
    path = write_zip(tmp_path, {"0000.png": b"x"})
    assert "one folder train and one folder test" in message_of(path)


@FORMS
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("damage", ["empty", "cut", "text"])
def test_undecodable_image_is_named(tmp_path, form, suffix, damage):
    files = make_files(suffix)
    name = f"test/bee/0001{suffix}"
    whole = files[name]
    files[name] = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "text": b"<html>Not found</html>",
    }[damage]
    message = message_of(WRITERS[form](tmp_path, files))
    assert name in message
    assert "cannot be decoded" in message


@FORMS
@pytest.mark.parametrize(
    ("shape", "received"),
    [
        ((32, 32), "mode L and 32 x 32"),
        ((32, 32, 4), "mode RGBA and 32 x 32"),
        ((32, 31, 3), "mode RGB and 31 x 32"),
        ((64, 64, 3), "mode RGB and 64 x 64"),
    ],
)
def test_image_of_another_kind(tmp_path, form, shape, received):
    files = make_files()
    files["train/cat/0000.png"] = encoded(np.zeros(shape, np.uint8))
    message = message_of(WRITERS[form](tmp_path, files))
    assert "train/cat/0000.png must be an RGB image of 32 x 32" in message
    assert received in message


def test_other_format_under_a_png_name(tmp_path):
    files = make_files()
    gif = encoded(np.zeros((32, 32, 3), np.uint8), ".gif")
    files["train/cat/0000.png"] = gif
    assert "cannot be decoded" in message_of(write_zip(tmp_path, files))


@FORMS
def test_large_file_is_refused_unread(tmp_path, form, monkeypatch):
    files = make_files()
    files["train/ape/0000.png"] = bytes(65 * 1024)
    path = WRITERS[form](tmp_path, files)

    def fail(*args, **kwargs):
        pytest.fail("The large file was read.")

    monkeypatch.setattr(zipfile.ZipFile, "read", fail)
    monkeypatch.setattr(type(path), "read_bytes", fail)
    assert "train/ape/0000.png" in message_of(path)
    assert "has 66560 bytes" in message_of(path)


@FORMS
@pytest.mark.parametrize("side", [10_000, 30_000])
def test_decompression_bomb_is_refused_undecoded(tmp_path, form, side):
    # Few bytes whose header promises more pixels than Pillow tolerates.
    bomb = bytearray(encoded(np.zeros((32, 32, 3), np.uint8)))
    bomb[16:24] = side.to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    files = make_files()
    files["train/ape/0000.png"] = bytes(bomb)
    message = message_of(WRITERS[form](tmp_path, files))
    assert "train/ape/0000.png cannot be decoded" in message
    assert "decompression bomb" in message


def test_flipped_byte_in_a_zip_is_noticed(tmp_path):
    files = make_files(".jpg")
    path = write_zip(tmp_path, files)
    contents = bytearray(path.read_bytes())
    jpeg = files["train/bee/0001.jpg"]
    contents[contents.index(jpeg) + len(jpeg) // 2] ^= 0x01
    path.write_bytes(contents)
    message = message_of(path)
    assert "Bad CRC-32" in message
    assert "train/bee/0001.jpg" in message


@pytest.mark.parametrize(
    "compression",
    [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
)
def test_flipped_byte_in_a_compressed_zip_is_noticed(tmp_path, compression):
    path = write_zip(tmp_path, make_files(), compression)
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("train/bee/0001.png")
    middle = member.header_offset + 30 + len(member.filename)
    middle += member.compress_size // 2
    contents = bytearray(path.read_bytes())
    contents[middle] ^= 0xFF
    path.write_bytes(contents)
    assert "cannot be read" in message_of(path)


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_truncated_zip(tmp_path, kept):
    path = write_zip(tmp_path, make_files())
    contents = path.read_bytes()
    size = int(kept * len(contents)) if kept < 1 else kept
    path.write_bytes(contents[:size])
    assert "cannot be read" in message_of(path)


def test_encrypted_zip(tmp_path):
    path = write_zip(tmp_path, make_files())
    contents = bytearray(path.read_bytes())
    # Sets the flag "encrypted" in every local and central header.
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = contents.find(signature)
        while start >= 0:
            contents[start + offset] |= 1
            start = contents.find(signature, start + 4)
    path.write_bytes(contents)
    assert "encrypted" in message_of(path)


def test_file_of_another_kind(tmp_path):
    path = tmp_path / "images.rar"
    path.write_bytes(b"x")
    message = message_of(path)
    assert "holds no CIFAR-10" in message
    assert "--data_dir" in message


def test_folder_without_images(tmp_path):
    path = write_folder(tmp_path, make_files())
    shutil.rmtree(path / "train")
    shutil.rmtree(path / "test")
    assert "holds no CIFAR-10" in message_of(path)


def test_missing_pillow(tmp_path, monkeypatch):
    path = write_zip(tmp_path, make_files())
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert 'pip install ".[examples]"' in message_of(path)

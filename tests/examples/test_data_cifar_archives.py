"""`cifar_archives`, on small files in the format of the original ones.

The originals were pickled by Python 2, whose strings no pickler of Python 3
writes; `python2_pickle` writes them opcode by opcode.
"""

import hashlib
import io
import pickle
import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from common.cifar import load_cifar10, load_cifar100
from common.cifar_archives import ArrayUnpickler
from common.cifar_specs import (
    CIFAR10_ARCHIVE,
    CIFAR10_CLASSES,
    CIFAR100_ARCHIVE,
    CIFAR100_CLASSES,
)
from common.dataset_types import DataError
from common.verified_files import FileSpec

LOADERS = {"cifar10": load_cifar10, "cifar100": load_cifar100}
PUBLISHED = {"cifar10": CIFAR10_ARCHIVE, "cifar100": CIFAR100_ARCHIVE}
CLASSES = {"cifar10": CIFAR10_CLASSES, "cifar100": CIFAR100_CLASSES}


def _opcodes(value):
    if isinstance(value, bytes):
        return b"T" + struct.pack("<I", len(value)) + value
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_opcodes, value)) + b"e"
    if isinstance(value, dict):
        pairs = (_opcodes(part) for pair in value.items() for part in pair)
        return b"}(" + b"".join(pairs) + b"u"
    assert value.dtype == np.uint8
    shape = b"(" + b"".join(map(_opcodes, value.shape)) + b"t"
    dtype = b"cnumpy\ndtype\n" + _opcodes(b"u1") + b"K\0K\1\x87R"
    dtype += b"(K\3" + _opcodes(b"|") + b"NNN" + _opcodes(-1) * 2 + b"K\0tb"
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        + (b"K\0\x85" + _opcodes(b"b") + b"\x87R")
        + (
            b"(K\1"
            + shape
            + dtype
            + b"\x89"
            + _opcodes(value.tobytes())
            + b"tb"
        )
    )


def python2_pickle(value):
    return b"\x80\2" + _opcodes(value) + b"."


def make_members(name):
    """File names and contents, small: 3 images per file."""
    spec = PUBLISHED[name]
    rng = np.random.default_rng(0)
    members = {}
    for member in (*spec.train, spec.test):
        members[member.name] = {
            b"batch_label": b"a small batch",
            b"data": rng.integers(0, 256, (3, 3072), dtype=np.uint8),
            spec.labels_key: rng.integers(0, 10, 3).tolist(),
            b"filenames": [b"a.png", b"b.png", b"c.png"],
        }
    names = [class_name.encode() for class_name in CLASSES[name]]
    members[spec.meta.name] = {spec.names_key: names}
    return members


def spec_of(file_name, contents, algorithm="md5"):
    digest = hashlib.new(algorithm, contents).hexdigest()
    size = None if algorithm == "md5" else len(contents)
    return FileSpec(file_name, size, f"{algorithm}:{digest}")


def write_folder(parent, name, pickles):
    """Writes the extracted form; returns its spec."""
    published = PUBLISHED[name]
    folder = parent / published.folder
    folder.mkdir()
    for file_name, contents in pickles.items():
        (folder / file_name).write_bytes(contents)

    def renew(member):
        return spec_of(member.name, pickles[member.name])

    return replace(
        published,
        train=tuple(renew(member) for member in published.train),
        test=renew(published.test),
        meta=renew(published.meta),
    )


def write_archive(parent, name, pickles):
    """Writes the tar.gz form; returns its spec."""
    published = PUBLISHED[name]
    path = parent / published.archive.name
    with tarfile.open(path, "w:gz") as tar:
        for file_name, contents in pickles.items():
            info = tarfile.TarInfo(f"{published.folder}/{file_name}")
            info.size = len(contents)
            tar.addfile(info, io.BytesIO(contents))
    archive = spec_of(path.name, path.read_bytes(), "sha256")
    return replace(published, archive=archive)


WRITERS = {"archive": write_archive, "folder": write_folder}
FORMS = pytest.mark.parametrize("form", WRITERS)
NAMES = pytest.mark.parametrize("name", LOADERS)


def pickled(members):
    return {key: python2_pickle(value) for key, value in members.items()}


def victim_of(parent, name, form):
    """The file to damage."""
    published = PUBLISHED[name]
    if form == "archive":
        return parent / published.archive.name
    return parent / published.folder / published.test.name


def message_of(name, data_dir, spec):
    with pytest.raises(DataError) as error:
        LOADERS[name](data_dir, archive=spec)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@FORMS
@NAMES
def test_round_trip(tmp_path, name, form):
    members = make_members(name)
    spec = WRITERS[form](tmp_path, name, pickled(members))
    dataset = LOADERS[name](tmp_path, archive=spec)

    def images_of(files):
        rows = np.concatenate([members[file.name][b"data"] for file in files])
        # A row holds all reds, then all greens, then all blues.
        return np.stack(np.split(rows, 3, axis=1), -1).reshape(-1, 32, 32, 3)

    def labels_of(files):
        return [
            x for file in files for x in members[file.name][spec.labels_key]
        ]

    np.testing.assert_array_equal(dataset.x_train, images_of(spec.train))
    np.testing.assert_array_equal(dataset.x_test, images_of([spec.test]))
    assert dataset.y_train.tolist() == labels_of(spec.train)
    assert dataset.y_test.tolist() == labels_of([spec.test])
    assert dataset.x_train.dtype == np.uint8
    assert dataset.y_train.dtype == dataset.y_test.dtype == np.int64
    assert dataset.class_names == CLASSES[name]
    assert dataset.name == name


@FORMS
@NAMES
def test_path_of_the_files_themselves(tmp_path, name, form):
    spec = WRITERS[form](tmp_path, name, pickled(make_members(name)))
    (path,) = tmp_path.iterdir()
    dataset = LOADERS[name](path, archive=spec)
    assert dataset.source == str(path)


@NAMES
def test_missing_member_of_the_folder(tmp_path, name):
    spec = write_folder(tmp_path, name, pickled(make_members(name)))
    victim = victim_of(tmp_path, name, "folder")
    victim.unlink()
    message = message_of(name, tmp_path, spec)
    assert str(victim) in message
    assert "missing" in message


@NAMES
def test_missing_member_of_the_archive(tmp_path, name):
    pickles = pickled(make_members(name))
    del pickles[PUBLISHED[name].meta.name]
    spec = write_archive(tmp_path, name, pickles)
    message = message_of(name, tmp_path, spec)
    assert spec.archive.name in message
    assert f"no member {spec.folder}/{spec.meta.name}" in message


@FORMS
@NAMES
def test_truncated_file(tmp_path, name, form):
    spec = WRITERS[form](tmp_path, name, pickled(make_members(name)))
    victim = victim_of(tmp_path, name, form)
    victim.write_bytes(victim.read_bytes()[:-1])
    message = message_of(name, tmp_path, spec)
    assert str(victim) in message
    # Only checksums are published for the extracted files.
    assert ("incomplete" if form == "archive" else "checksum") in message


@FORMS
@NAMES
def test_one_flipped_byte(tmp_path, name, form):
    spec = WRITERS[form](tmp_path, name, pickled(make_members(name)))
    victim = victim_of(tmp_path, name, form)
    contents = bytearray(victim.read_bytes())
    contents[len(contents) // 2] ^= 0xFF
    victim.write_bytes(contents)
    message = message_of(name, tmp_path, spec)
    assert str(victim) in message
    assert "checksum" in message


def test_verified_file_that_is_no_archive(tmp_path):
    path = tmp_path / CIFAR100_ARCHIVE.archive.name
    path.write_bytes(b"not a tar.gz file")
    archive = spec_of(path.name, path.read_bytes(), "sha256")
    spec = replace(CIFAR100_ARCHIVE, archive=archive)
    assert "not a complete tar.gz" in message_of("cifar100", path, spec)


class WritesMarker:
    """Unpickled by the ordinary means, it creates a file."""

    def __init__(self, marker):
        self._marker = str(marker)

    def __reduce__(self):
        return open, (self._marker, "w")


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "marker"


@pytest.fixture
def hostile(marker):
    """A pickle that creates the marker when opened, as shown here."""
    contents = pickle.dumps(WritesMarker(marker), protocol=2)
    pickle.loads(contents).close()
    assert marker.exists()
    marker.unlink()
    return contents


@FORMS
@NAMES
def test_hostile_pickle_of_wrong_checksum_is_never_opened(
    tmp_path, name, form, hostile, marker, monkeypatch
):
    pickles = pickled(make_members(name))
    spec = WRITERS[form](tmp_path, name, pickles)
    victim = victim_of(tmp_path, name, form)
    padding = len(victim.read_bytes()) - len(hostile)
    victim.write_bytes(hostile + b"\0" * padding)

    def fail(*args, **kwargs):
        pytest.fail("A parser was given an unverified file.")

    monkeypatch.setattr(tarfile, "open", fail)
    monkeypatch.setattr(ArrayUnpickler, "load", fail)
    assert "checksum" in message_of(name, tmp_path, spec)
    assert not marker.exists()


@FORMS
@NAMES
def test_hostile_pickle_of_right_checksum_is_refused(
    tmp_path, name, form, hostile, marker
):
    pickles = pickled(make_members(name))
    pickles[PUBLISHED[name].test.name] = hostile
    spec = WRITERS[form](tmp_path, name, pickles)
    message = message_of(name, tmp_path, spec)
    assert "open, which is not part of an array" in message
    assert PUBLISHED[name].test.name in message
    assert not marker.exists()


@pytest.mark.parametrize(
    "name",
    ["os system", "builtins eval", "numpy load", "numpy ndarray.tofile"],
)
def test_unpickler_knows_no_other_names(name):
    module, attribute = name.split()
    contents = f"c{module}\n{attribute}\n.".encode()
    with pytest.raises(pickle.UnpicklingError, match="not part of an array"):
        ArrayUnpickler(io.BytesIO(contents)).load()


def test_array_in_fortran_order():
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    contents = python2_pickle(pixels).replace(
        b"\x89" + _opcodes(pixels.tobytes()),
        b"\x88" + _opcodes(pixels.tobytes(order="F")),
    )
    loaded = ArrayUnpickler(io.BytesIO(contents), encoding="bytes").load()
    np.testing.assert_array_equal(loaded.array, pixels)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (_opcodes(b"u1"), _opcodes(b"O8")),
        (_opcodes(b"u1"), _opcodes(b"f4")),
        (_opcodes(3072), _opcodes(3073)),
        (_opcodes(3072), _opcodes(2**31 - 1)),
    ],
)
def test_forged_array_is_refused(tmp_path, old, new):
    pickles = pickled(make_members("cifar10"))
    forged = pickles["test_batch"].replace(old, new, 1)
    assert forged != pickles["test_batch"]
    pickles["test_batch"] = forged
    spec = write_folder(tmp_path, "cifar10", pickles)
    assert "was not unpickled" in message_of("cifar10", tmp_path, spec)


PIXELS = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    ("batch", "problem"),
    [
        ([1, 2], "must hold a dictionary, received list"),
        ({}, "must hold images"),
        ({b"data": [1]}, "must hold images"),
        ({b"data": PIXELS[:, 1:]}, "must hold images"),
        ({b"data": PIXELS}, "must hold 2 labels from 0 to 9"),
        ({b"data": PIXELS, b"labels": [1]}, "must hold 2 labels"),
        ({b"data": PIXELS, b"labels": [1, 10]}, "must hold 2 labels"),
        ({b"data": PIXELS, b"labels": [-1, 1]}, "must hold 2 labels"),
        ({b"data": PIXELS, b"labels": [b"1", 1]}, "must hold 2 labels"),
    ],
)
def test_unexpected_contents(tmp_path, batch, problem):
    pickles = pickled(make_members("cifar10"))
    pickles["test_batch"] = python2_pickle(batch)
    spec = write_folder(tmp_path, "cifar10", pickles)
    message = message_of("cifar10", tmp_path, spec)
    assert problem in message
    assert "test_batch" in message


def test_malformed_pickle(tmp_path):
    pickles = pickled(make_members("cifar10"))
    pickles["test_batch"] = pickles["test_batch"][:-50]
    spec = write_folder(tmp_path, "cifar10", pickles)
    assert "was not unpickled" in message_of("cifar10", tmp_path, spec)


@pytest.mark.parametrize("meta", [{}, {b"label_names": 3}, [b"airplane"]])
def test_meta_without_class_names(tmp_path, meta):
    pickles = pickled(make_members("cifar10"))
    pickles["batches.meta"] = python2_pickle(meta)
    spec = write_folder(tmp_path, "cifar10", pickles)
    assert "batches.meta" in message_of("cifar10", tmp_path, spec)

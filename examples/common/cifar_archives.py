"""Reads the original CIFAR files: pickles, from a tar.gz or extracted.

Two locks keep a hostile pickle from running code. The checksum must be the
published one before anything is parsed, and the unpickler knows only the
three names in a pickled NumPy array, for which it has harmless stand-ins.
"""

import io
import math
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.dataset_types import DataError
from common.verified_files import FileSpec, read_verified

IMAGE_SHAPE = (3, 32, 32)


@dataclass(frozen=True)
class CifarArchive:
    """The files of one CIFAR dataset, as published for Python.

    Attributes:
        archive: The tar.gz file.
        folder: Folder in the archive that holds the files below.
        train: The files of training images, in order.
        test: The file of test images.
        meta: The file of class names.
        labels_key: Key of the labels in the image files.
        names_key: Key of the class names in `meta`.
    """

    archive: FileSpec
    folder: str
    train: tuple[FileSpec, ...]
    test: FileSpec
    meta: FileSpec
    labels_key: bytes
    names_key: bytes

    @property
    def members(self) -> tuple[FileSpec, ...]:
        """Every file that is needed from the folder."""
        return (*self.train, self.test, self.meta)


@dataclass(frozen=True)
class CifarArrays:
    """What the files hold; the attributes are those of `ImageData`."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]


def find_cifar_files(path: Path, spec: CifarArchive) -> Path | None:
    """The archive or extracted folder that is at, or directly in, `path`."""
    if path.is_file():
        return path if path.name.endswith((".tar.gz", ".tgz")) else None
    if path.name == spec.folder:
        return path
    for candidate in (path / spec.archive.name, path / spec.folder):
        if candidate.exists():
            return candidate
    return None


def read_cifar_files(path: Path, spec: CifarArchive) -> CifarArrays:
    """Reads the dataset from what `find_cifar_files` found.

    Raises:
        DataError: If a file is missing, is not the published one, or does not
            hold what it should.
    """
    if path.is_dir():
        contents = {
            member.name: read_verified(path / member.name, member)
            for member in spec.members
        }
    else:
        archive = read_verified(path, spec.archive)
        contents = _extract_in_memory(archive, spec, path)

    meta = _unpickle(contents[spec.meta.name], path / spec.meta.name)
    try:
        class_names = tuple(name.decode() for name in meta[spec.names_key])
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path / spec.meta.name} has no list of class names under "
            f"{spec.names_key!r}. Download it again."
        ) from error

    def read_images(member: FileSpec) -> tuple[np.ndarray, np.ndarray]:
        where = path / member.name
        batch = _unpickle(contents[member.name], where)
        return _check_batch(batch, spec.labels_key, len(class_names), where)

    train = [read_images(member) for member in spec.train]
    x_test, y_test = read_images(spec.test)
    return CifarArrays(
        x_train=np.concatenate([images for images, _ in train]),
        y_train=np.concatenate([labels for _, labels in train]),
        x_test=x_test,
        y_test=y_test,
        class_names=class_names,
    )


def _extract_in_memory(
    archive: bytes, spec: CifarArchive, path: Path
) -> dict[str, bytes]:
    """The needed members of the archive, by file name."""
    wanted = {f"{spec.folder}/{member.name}" for member in spec.members}
    contents = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                if member.name in wanted and member.isfile():
                    file_name = member.name.rpartition("/")[2]
                    contents[file_name] = tar.extractfile(member).read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is not a complete tar.gz file ({error}). "
            "Download it again."
        ) from error
    for member in spec.members:
        if member.name not in contents:
            raise DataError(
                f"{path} has no member {spec.folder}/{member.name}. "
                "Download it again."
            )
    return contents


class _PickledBytesType:
    """Stands in for `numpy.dtype`, of uint8 only."""

    def __init__(self, type_code: bytes, *flags: int):
        if type_code != b"u1":
            raise pickle.UnpicklingError(
                f"expected an array of b'u1', received {type_code!r}"
            )

    def __setstate__(self, state: tuple):
        """Byte order and padding mean nothing to single bytes."""


class _PickledArray:
    """Stands in for `numpy.ndarray`, which trusts the state it is given.

    A forged state can crash NumPy itself; here it is at worst a ValueError.
    """

    def __init__(self, *empty_array: object):
        self.array = np.empty(0, dtype=np.uint8)

    def __setstate__(self, state: tuple):
        _version, shape, _dtype, is_fortran_order, contents = state
        self.array = np.frombuffer(contents, dtype=np.uint8).reshape(
            shape, order="F" if is_fortran_order else "C"
        )


_ARRAY_PARTS = {
    ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy", "ndarray"): _PickledArray,
    ("numpy", "dtype"): _PickledBytesType,
}


class ArrayUnpickler(pickle.Unpickler):
    """Rebuilds numbers, strings, containers and uint8 arrays: nothing else.

    An array arrives as the attribute `array` of a stand-in.
    """

    def find_class(self, module: str, name: str):
        """The stand-in for that part of an array; refuses all else."""
        try:
            return _ARRAY_PARTS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which is not part of an array"
            ) from None


def _unpickle(contents: bytes, where: Path) -> dict:
    """The dictionary in a verified pickle, with its keys as bytes."""
    try:
        # Python 2 wrote these files: its strings are read as bytes.
        loaded = ArrayUnpickler(io.BytesIO(contents), encoding="bytes").load()
    except Exception as error:  # A malformed pickle may raise anything.
        raise DataError(
            f"{where} was not unpickled: {error}. Download it again."
        ) from error
    if not isinstance(loaded, dict):
        raise DataError(
            f"{where} must hold a dictionary, received "
            f"{type(loaded).__name__}. Download it again."
        )
    return loaded


def _check_batch(
    batch: dict, labels_key: bytes, num_classes: int, where: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Images, channels last, and labels of one file."""
    pixels = getattr(batch.get(b"data"), "array", None)
    num_values = math.prod(IMAGE_SHAPE)
    if pixels is None or pixels.shape[1:] != (num_values,):
        raise DataError(
            f"{where} must hold images as a uint8 array of shape (num_images, "
            f"{num_values}). Download it again."
        )
    labels = batch.get(labels_key)
    if (
        not isinstance(labels, list)
        or len(labels) != len(pixels)
        or any(label not in range(num_classes) for label in labels)
    ):
        raise DataError(
            f"{where} must hold {len(pixels)} labels from 0 to "
            f"{num_classes - 1} under {labels_key!r}. Download it again."
        )
    images = pixels.reshape(-1, *IMAGE_SHAPE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), np.array(labels, dtype=np.int64)

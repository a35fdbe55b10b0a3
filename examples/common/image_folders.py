"""Reads images laid out as `train/CLASS/NAME.jpg` and `test/CLASS/NAME.jpg`.

The folders may lie on disk or in a zip file, which is read in place, and may
have one enclosing folder. A zip file protects each image with a CRC; plain
folders have no checksum, so there only what a decoder can see is noticed.
"""

import io
import lzma
import warnings
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.dataset_types import DataError
from common.install_commands import EXAMPLES

PARTS = ("train", "test")
SUFFIXES = (".jpg", ".jpeg", ".png")
# An uncompressed 32 x 32 RGB image has 3 KiB: more than this is no such image.
MAX_IMAGE_BYTES = 64 * 1024


@dataclass(frozen=True)
class FolderSpec:
    """What the folders must hold.

    Attributes:
        class_names: Folder names of the classes, in label order.
        train_per_class: Number of training images of each class.
        test_per_class: Number of test images of each class.
        side: Height and width of every image, in pixels.
    """

    class_names: tuple[str, ...]
    train_per_class: int
    test_per_class: int
    side: int = 32


class _FolderSource:
    """Images in folders on disk."""

    def __init__(self, root: Path):
        self._root = root

    def names(self) -> list[str]:
        return [
            path.relative_to(self._root).as_posix()
            for part in PARTS
            for pattern in (f"{part}/*/*", f"*/{part}/*/*")
            for path in self._root.glob(pattern)
            if path.is_file()
        ]

    def size(self, name: str) -> int:
        return (self._root / name).stat().st_size

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()


class _ZipSource:
    """Images in a zip file. Reading a member checks its CRC."""

    def __init__(self, archive: zipfile.ZipFile):
        self._archive = archive

    def names(self) -> list[str]:
        return self._archive.namelist()

    def size(self, name: str) -> int:
        # zipfile never inflates a member beyond this size.
        return self._archive.getinfo(name).file_size

    def read(self, name: str) -> bytes:
        return self._archive.read(name)


@contextmanager
def _open_source(path: Path) -> Iterator[_FolderSource | _ZipSource]:
    """Opens the folder or zip file; what breaks it becomes a DataError."""
    try:
        if path.is_dir():
            yield _FolderSource(path)
        else:
            with zipfile.ZipFile(path) as archive:
                yield _ZipSource(archive)
    # RuntimeError is an encrypted member, NotImplementedError an unknown
    # compression.
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        OSError,
        EOFError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise DataError(
            f"{path} cannot be read: {error}. Get it again."
        ) from error


def read_image_folders(
    path: Path, spec: FolderSpec
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Decodes every image of the folders or of the zip file.

    Images are sorted by class and then by file name.

    Args:
        path: Folder or zip file.
        spec: What it must hold.

    Returns:
        `(x_train, y_train, x_test, y_test)`; images are uint8 of shape
        `(num_images, side, side, 3)`, labels int64 of shape `(num_images,)`.

    Raises:
        DataError: If a class or an image is missing, unexpected or damaged.
    """
    classes = np.arange(len(spec.class_names), dtype=np.int64)
    with _open_source(path) as source:
        names = _sorted_by_class(source.names(), spec, path)
        return (
            _decode_all(source, names["train"], spec.side, path),
            np.repeat(classes, spec.train_per_class),
            _decode_all(source, names["test"], spec.side, path),
            np.repeat(classes, spec.test_per_class),
        )


def _sorted_by_class(
    names: list[str], spec: FolderSpec, path: Path
) -> dict[str, list[str]]:
    """Names of the images of each part, checked to be complete."""
    found = defaultdict(list)
    roots = set()
    for name in sorted(names):
        if name.count("/") < 2:
            continue
        *root, part, class_name, file_name = name.split("/")
        if (
            part in PARTS
            and file_name.lower().endswith(SUFFIXES)
            # What macOS and file managers add: `._0001.jpg`, `__MACOSX`.
            and not file_name.startswith(".")
            and "__MACOSX" not in root
        ):
            found[part, class_name].append(name)
            roots.add("/".join(root))
    if len(roots) != 1 or "/" in (only_root := roots.pop()):
        raise DataError(
            f"{path} must hold one folder train and one folder test, each with "
            "images as CLASS/NAME.jpg. Give the folder above train and test, "
            "or a zip file of it."
        )

    expected_counts = {
        "train": spec.train_per_class,
        "test": spec.test_per_class,
    }
    for part, expected in expected_counts.items():
        where = (
            f"{path}: {only_root}/{part}" if only_root else f"{path}: {part}"
        )
        classes = {name for folder, name in found if folder == part}
        if classes != set(spec.class_names):
            missing = sorted(set(spec.class_names) - classes)
            unexpected = sorted(classes - set(spec.class_names))
            raise DataError(
                f"{where} must hold images of exactly {len(spec.class_names)} "
                f"classes; missing: {missing}, unexpected: {unexpected}. "
                "Get it again."
            )
        for class_name in spec.class_names:
            count = len(found[part, class_name])
            if count != expected:
                raise DataError(
                    f"{where}/{class_name} must hold {expected} images, "
                    f"received {count}. Get it again."
                )
    return {
        part: [
            name
            for class_name in spec.class_names
            for name in found[part, class_name]
        ]
        for part in PARTS
    }


def _decode_all(
    source: _FolderSource | _ZipSource, names: list[str], side: int, path: Path
) -> np.ndarray:
    """The images of those names, in that order."""
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError(
            f"{path} holds JPEG or PNG files, which need Pillow ({error}). "
            f"Run: {EXAMPLES}"
        ) from error

    images = np.empty((len(names), side, side, 3), dtype=np.uint8)
    expected = f"an RGB image of {side} x {side} pixels"
    with warnings.catch_warnings():
        # Pillow only warns of an image of suspiciously many pixels.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for index, name in enumerate(names):
            if (size := source.size(name)) > MAX_IMAGE_BYTES:
                raise DataError(
                    f"{path}: {name} must be {expected}, but has {size} bytes. "
                    "Get it again."
                )
            contents = source.read(name)
            try:
                # Reads the header only; pixels are decoded by `asarray`.
                image = Image.open(
                    io.BytesIO(contents), formats=["JPEG", "PNG"]
                )
                if (image.size, image.mode) == ((side, side), "RGB"):
                    images[index] = np.asarray(image)
                    continue
            # What Pillow raises for a damaged image, and for a huge one.
            except (
                OSError,
                SyntaxError,
                ValueError,
                Image.DecompressionBombError,
                Image.DecompressionBombWarning,
            ) as error:
                raise DataError(
                    f"{path}: {name} cannot be decoded ({error}). Get it again."
                ) from error
            raise DataError(
                f"{path}: {name} must be {expected}, received mode "
                f"{image.mode} and {image.size[0]} x {image.size[1]} pixels. "
                "Get it again."
            )
    return images

"""Image files as an array that decodes what is asked for: `ImageFiles`."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np

from common.dataset_types import DataError
from common.install_commands import EXAMPLES

FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
# Colour and grey. Palettes, transparency and 16 bits are left to converters.
MODES = ("RGB", "L")
# Height and width of an aligned face, as published with SphereFace.
FACE_SIZE = (112, 96)
# A face has some 30 KiB without compression: more than this is no such image.
MAX_IMAGE_BYTES = 4 * 1024 * 1024
# So many files take long enough to check for a progress bar.
PROGRESS_FROM = 2000


class ImageFiles:
    """Images in files, decoded whenever they are asked for.

    Can be indexed as an array of all images can along its first axis: by
    integers, an array of them, a slice or a mask. Grey images become RGB. The
    files stay closed in between, so threads and processes may share one
    object. How a camera was held, which JPEG files may note, is ignored.

    Attributes:
        paths: The files.
        shape: `(num_images, height, width, 3)`.

    Args:
        paths: The files, one or more: JPEG, PNG, BMP or WebP.
        size: Height and width of every image; `None` takes those of the first.

    Raises:
        DataError: If the header of a file is damaged or shows another size,
            format or colour mode. Damage behind the header is noticed, with
            the same error, when the image is decoded.
    """

    paths: tuple[str, ...]
    shape: tuple[int, int, int, int]

    def __init__(
        self,
        paths: Sequence[str | Path],
        size: tuple[int, int] | None = FACE_SIZE,
    ):
        if not paths:
            raise ValueError("`paths` must hold a file. Received none.")
        self.paths = tuple(map(str, paths))
        self._positions = np.arange(len(paths))
        size = None if size is None else tuple(size)
        pillow = _import_pillow(self.paths[0])
        bar = None
        if len(paths) >= PROGRESS_FROM:
            print(f"Checking the headers of {len(paths)} images")
            bar = keras.utils.Progbar(len(paths), unit_name="image")
        with warnings.catch_warnings():
            # Pillow only warns of an image of suspiciously many pixels.
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            for number, path in enumerate(self.paths, start=1):
                size = _check_header(pillow, path, size)
                if bar and (number % 100 == 0 or number == len(paths)):
                    bar.update(number)
        self.shape = (len(paths), *size, 3)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.paths)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Decodes the images of that index, uint8."""
        positions = self._positions[index]
        images = np.empty((*positions.shape, *self.shape[1:]), dtype=np.uint8)
        for place in np.ndindex(positions.shape):
            path = self.paths[positions[place]]
            images[place] = _decode(path, self.shape[1:3])
        return images


def list_images(folder: Path) -> dict[str, Path]:
    """The image files of a folder, by name without ending, sorted by name.

    Hidden files, files of other endings and inner folders are ignored.

    Raises:
        DataError: If the folder cannot be read, or if two files differ in
            their ending only: then one image would probably count twice.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if entry.name.lower().endswith(SUFFIXES)
                and not entry.name.startswith(".")
                and not entry.is_dir()
            )
    except OSError as error:
        raise DataError(
            f"{folder} must be a folder of images, but cannot be read "
            f"({error.strerror}). Correct the path or its permissions."
        ) from error
    images: dict[str, Path] = {}
    for name in names:
        path = folder / name
        if path.stem in images:
            raise DataError(
                f"{folder} must hold each image once, received both "
                f"{images[path.stem].name} and {name}. Remove one of them."
            )
        images[path.stem] = path
    return images


def _import_pillow(path: str) -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError(
            f"{path} is an image file, which needs Pillow ({error}). "
            f"Run: {EXAMPLES}"
        ) from error
    return Image


def _check_header(
    pillow: ModuleType, path: str, size: tuple[int, int] | None
) -> tuple[int, int]:
    """Height and width, after a look at the file but not at its pixels."""
    try:
        if (num_bytes := os.stat(path).st_size) > MAX_IMAGE_BYTES:
            raise DataError(
                f"{path} must be an image of at most {MAX_IMAGE_BYTES} bytes, "
                f"received {num_bytes}. Make the image smaller."
            )
        with pillow.open(path, formats=FORMATS) as image:
            return _checked_size(image, path, size)
    except _pillow_errors(pillow) as error:
        raise _undecodable(path, error) from error


def _decode(path: str, size: tuple[int, int]) -> np.ndarray:
    pillow = _import_pillow(path)
    try:
        with pillow.open(path, formats=FORMATS) as image:
            # Again, because the file may have been replaced.
            _checked_size(image, path, size)
            return np.asarray(image.convert("RGB"))
    except _pillow_errors(pillow) as error:
        raise _undecodable(path, error) from error


def _checked_size(
    image: Any, path: str, size: tuple[int, int] | None
) -> tuple[int, int]:
    width, height = image.size
    if image.mode not in MODES:
        raise DataError(
            f"{path} must be an RGB or a grey image with 8 bits per value, "
            f"received one of Pillow's mode {image.mode}. Convert it."
        )
    if size not in (None, (height, width)):
        advice = (
            "Align the faces first, with examples/align_faces.py."
            if size == FACE_SIZE
            else "All images must have one size: scale or crop them."
        )
        raise DataError(
            f"{path} must be an image of height {size[0]} and width "
            f"{size[1]}, received height {height} and width {width}. {advice}"
        )
    return height, width


def _pillow_errors(pillow: ModuleType) -> tuple[type[Exception], ...]:
    """What Pillow raises for a damaged image, and for a huge one."""
    return (
        OSError,
        SyntaxError,
        ValueError,
        pillow.DecompressionBombError,
        pillow.DecompressionBombWarning,
    )


def _undecodable(path: str, error: Exception) -> DataError:
    return DataError(
        f"{path} must be an image as {', '.join(FORMATS)}, but cannot be "
        f"decoded ({error}). Get it again or remove it."
    )

"""Photographs as people have them: found in folders, decoded to RGB."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from common.dataset_types import DataError
from common.image_files import FORMATS, SUFFIXES


class PhotoError(Exception):
    """A photograph cannot be aligned; the message is one line, the reason."""

    def __init__(self, reason: str):
        super().__init__(" ".join(reason.split()))


def find_photos(source: Path) -> tuple[Path, list[Path]]:
    """Finds the photographs of a folder and of all folders in it.

    Hidden files and folders, and files of other endings, are ignored.

    Args:
        source: A folder, or a single photograph.

    Returns:
        A folder, and the paths of the photographs relative to it, sorted.

    Raises:
        DataError: If there is no such folder or file, or no photograph.
    """
    if source.is_file():
        return source.parent, [Path(source.name)]
    if not source.is_dir():
        raise DataError(f"{source} does not exist. Correct INPUT.")
    names = sorted(
        name
        for path in source.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and _is_visible(name := path.relative_to(source))
        and path.is_file()
    )
    if not names:
        raise DataError(
            f"{source} holds no photographs ({', '.join(SUFFIXES)}). Correct "
            "INPUT."
        )
    return source, names


def read_photo(path: Path) -> Image.Image:
    """Decodes a photograph, upright, to 8-bit RGB.

    It is turned as its EXIF data ask for. Grey becomes RGB, 16 bits become 8,
    and what is transparent becomes white.

    Raises:
        PhotoError: If the file is damaged, of another format, or so large that
            Pillow takes it for a decompression bomb.
    """
    try:
        with warnings.catch_warnings():
            # Such as those about damaged EXIF data.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return _to_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise PhotoError(f"is none of {', '.join(FORMATS)}") from error
    # What Pillow raises for a damaged image, and for a huge one.
    except (
        OSError,
        EOFError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise PhotoError(f"cannot be read: {error}") from error


def _is_visible(name: Path) -> bool:
    # `__MACOSX` and `._0001.jpg` are what macOS adds to archives.
    return not any(
        part.startswith(".") or part == "__MACOSX" for part in name.parts
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Grey of 16 bits, which Pillow would clip.
        high_bytes = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255)
        image = Image.fromarray(high_bytes.astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")

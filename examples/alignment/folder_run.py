"""Aligns the photographs of a folder; continues where a run was cut off."""

import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from alignment.faces import Detector, find_face
from alignment.photos import PhotoError, find_photos, read_photo
from alignment.warping import align
from common.dataset_types import DataError
from common.run_folder import write_atomically, write_json

SKIPPED = "skipped.json"


@dataclass(frozen=True)
class Outcome:
    """What became of the photographs.

    Attributes:
        aligned: Number that were aligned now.
        kept: Number that had been aligned before.
        skipped: Name of each other one, relative to the input, and why.
    """

    aligned: int
    kept: int
    skipped: dict[str, str]


def align_folder(
    source: Path, output: Path, detector: Detector, file_format: str = "png"
) -> Outcome:
    """Aligns every photograph that has no aligned image yet.

    Writes them under the same names in the same tree of folders, and
    `skipped.json`, the names and reasons of those that cannot be aligned.

    Args:
        source: Folder of photographs, in any tree of folders, or a single one.
        output: Folder of the aligned images, outside of `source`.
        detector: Finds the faces of an image.
        file_format: Ending of the aligned images, `"png"` or `"jpg"`.

    Raises:
        DataError: If there is no photograph, or an image cannot be written.
    """
    root, names = find_photos(source)
    _check_output(source, root, output)
    photo_of: dict[Path, Path] = {}
    aligned = kept = 0
    skipped: dict[str, str] = {}
    bar = keras.utils.Progbar(
        len(names),
        interval=0.1 if sys.stdout.isatty() else 60,
        unit_name="photo",
    )
    for number, name in enumerate(names, start=1):
        place = output / name.with_suffix(f".{file_format}")
        try:
            if photo_of.setdefault(place, name) != name:
                raise PhotoError(f"same name as {photo_of[place].as_posix()}")
            if place.exists():
                kept += 1
            else:
                photo = read_photo(root / name)
                face = find_face(photo, detector)
                save_image(align(photo, face.landmarks), place)
                aligned += 1
        except PhotoError as error:
            skipped[name.as_posix()] = str(error)
        bar.update(number)
    try:
        write_json(output / SKIPPED, skipped)
    except OSError as error:
        raise _unwritable(output / SKIPPED, error) from error
    return Outcome(aligned, kept, skipped)


def save_image(pixels: np.ndarray, place: Path) -> None:
    """Writes a PNG or JPEG file, whole or not at all.

    Raises:
        DataError: If the file cannot be written.
    """
    image = Image.fromarray(pixels)
    try:
        # PNG has no quality.
        write_atomically(place, lambda path: image.save(path, quality=95))
    except OSError as error:
        raise _unwritable(place, error) from error


def _check_output(source: Path, root: Path, output: Path) -> None:
    """Aligned images must not become the next run's photographs."""
    if output.exists() and not output.is_dir():
        raise DataError(f"{output} must be a folder. Correct OUTPUT.")
    inside = output.resolve().is_relative_to(root.resolve())
    same = output.resolve() == root.resolve()
    if same or (inside and source.is_dir()):
        raise DataError(
            f"{output} must be a folder outside of the photographs' folder "
            f"{root}. Correct OUTPUT."
        )


def _unwritable(place: Path, error: OSError) -> DataError:
    return DataError(
        f"{place} cannot be written ({error.strerror}). Correct OUTPUT or "
        "make room; the same command continues."
    )

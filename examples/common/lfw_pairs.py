"""Reads `pairs.txt` of Labeled Faces in the Wild (Huang et al., 2007).

The first line has the number of folds and that of pairs, `10` and `300` in
the published file. Each fold follows, with so many lines `NAME N1 N2`, two
images of one person, and as many lines `NAME1 N1 NAME2 N2`, images of two.
Image 7 of a person is `NAME/NAME_0007.jpg`; any ending of an image will do.
What is reported is the mean accuracy over the folds, 600 pairs each.
"""

import re
from pathlib import Path

import numpy as np

from common.dataset_types import DataError
from common.identity_data import Pairs
from common.image_files import FACE_SIZE, ImageFiles, list_images

ADVICE = "Give LFW's pairs.txt, or a file like it."

# A person and the number of an image.
_Image = tuple[str, int]


def load_lfw_pairs(
    pairs_file: str | Path,
    image_dir: str | Path,
    size: tuple[int, int] | None = FACE_SIZE,
) -> tuple[ImageFiles, Pairs]:
    """The images that the pairs of the file are made of, and the pairs.

    Any number of folds from 2 and of pairs is read. Fields may be separated
    by tabs, as published, or by spaces; blank lines at the end are ignored.
    The files of View 1, `pairsDevTrain.txt` and `pairsDevTest.txt`, have no
    folds and are refused.

    Args:
        pairs_file: The file.
        image_dir: Folder with one folder of images per person. Images that
            occur in no pair are ignored.
        size: Height and width of every image; `None` takes those of the first.

    Returns:
        `(images, pairs)`: images sorted by person and number, each once;
        pairs in the order of the file, folds counted from 0.

    Raises:
        DataError: If the file is damaged, or an image is missing, damaged or
            of another size.
    """
    pairs_file = Path(pairs_file).expanduser()
    image_dir = Path(image_dir).expanduser()
    lines = _read_lines(pairs_file)
    folds, count = _parse_header(lines[0], pairs_file)
    expected = 2 * folds * count
    if len(lines) - 1 != expected:
        raise DataError(
            f"{pairs_file} must have {expected} lines of pairs, as its first "
            f"line promises {folds} folds of {count} same and {count} "
            f"different pairs, received {len(lines) - 1}. {ADVICE}"
        )
    is_same = np.tile(np.repeat([True, False], count), folds)
    pairs = [
        _parse_pair(line, same, f"{pairs_file}: line {number}")
        for number, (line, same) in enumerate(
            zip(lines[1:], is_same, strict=True), start=2
        )
    ]
    images = sorted({image for pair in pairs for image in pair})
    position = {image: index for index, image in enumerate(images)}
    first, second = np.array(
        [[position[image] for image in pair] for pair in pairs], dtype=np.int64
    ).T
    fold_of_pair = np.repeat(np.arange(folds, dtype=np.int64), 2 * count)
    files = ImageFiles(_find_images(images, image_dir, pairs_file), size)
    return files, Pairs(first, second, is_same, fold_of_pair)


def _read_lines(path: Path) -> list[str]:
    """The lines, one at least, without blank ones at the end."""
    try:
        # A Windows editor may have marked the text as UTF-8.
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{path} must be a text file of pairs, but cannot be read "
            f"({error.strerror}). {ADVICE}"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} must be a text file of pairs, but is no UTF-8 text. "
            f"{ADVICE}"
        ) from error
    return text.rstrip().split("\n")


def _parse_header(line: str, path: Path) -> tuple[int, int]:
    fields = line.split()
    if len(fields) == 1 and _is_count(fields[0]):
        raise DataError(
            f"{path} must have two numbers in its first line, those of folds "
            f"and of pairs, received {fields[0]} alone, as in the files of "
            "LFW's View 1. They have no folds, so no threshold can be chosen "
            f"on other people. {ADVICE}"
        )
    if len(fields) != 2 or not all(map(_is_count, fields)):
        raise DataError(
            f"{path} must have two numbers in its first line, those of folds "
            f"and of pairs, received {_shortened(line)}. {ADVICE}"
        )
    folds, count = map(int, fields)
    if folds < 2:
        raise DataError(
            f"{path} must have 2 folds at least, because the threshold of "
            f"each is chosen on the others, received {folds}. {ADVICE}"
        )
    return folds, count


def _parse_pair(line: str, is_same: bool, where: str) -> tuple[_Image, _Image]:
    fields = line.split("\t") if "\t" in line else line.split()
    fields = [field.strip() for field in fields]
    first, second = fields[:2], fields[2:]
    if is_same:
        # The name is given once.
        second = fields[:1] + second
    if (
        not len(first) == len(second) == 2
        or not _is_count(first[1])
        or not _is_count(second[1])
        or not first[0]
        or not second[0]
    ):
        form = "NAME N1 N2" if is_same else "NAME1 N1 NAME2 N2"
        raise DataError(
            f"{where} must be {form}, with numbers from 1, received "
            f"{_shortened(line)}. {ADVICE}"
        )
    for name in (first[0], second[0]):
        # A name is that of a folder, not the way to another one.
        if name.startswith(".") or set(name) & set("/\\\0"):
            raise DataError(
                f"{where} must name people, received {name!r}. {ADVICE}"
            )
    pair = (first[0], int(first[1])), (second[0], int(second[1]))
    if pair[0] == pair[1] or (not is_same and first[0] == second[0]):
        kind = "images of one person" if is_same else "people"
        raise DataError(
            f"{where} must pair two {kind}, received {_shortened(line)}. "
            f"{ADVICE}"
        )
    return pair


def _is_count(text: str) -> bool:
    return re.fullmatch("0{0,3}[1-9][0-9]{0,5}", text) is not None


def _shortened(line: str) -> str:
    return repr(line if len(line) <= 60 else f"{line[:60]}...")


def _find_images(
    images: list[_Image], image_dir: Path, pairs_file: Path
) -> list[Path]:
    """Paths of the images, all of which must exist."""
    if not image_dir.is_dir():
        raise DataError(
            f"{image_dir} must be the folder of the images of {pairs_file}, "
            "but is no folder. Correct it."
        )
    found: dict[str, Path] = {}
    for name in sorted({name for name, _ in images}):
        if (image_dir / name).is_dir():
            for stem, path in list_images(image_dir / name).items():
                found[f"{name}/{stem}"] = path
    names = [f"{name}/{name}_{number:04}" for name, number in images]
    if missing := [name for name in names if name not in found]:
        listed = ", ".join(missing[:3]) + (", ..." if missing[3:] else "")
        raise DataError(
            f"{image_dir} must hold the {len(names)} images of {pairs_file}, "
            f"{len(missing)} are missing: {listed}. Give the folder that has "
            "one folder per person; aligned images must keep their names."
        )
    return [found[name] for name in names]

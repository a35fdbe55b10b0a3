"""Identities in folders, as in CASIA-WebFace: `DATA_DIR/IDENTITY/NAME.jpg`.

They are verified on pairs of identities that are held out, or on LFW's pairs.
"""

import os
from pathlib import Path

import numpy as np

from common.dataset_types import DataError, existing_path
from common.identity_data import IdentityData, draw_pairs
from common.image_files import FACE_SIZE, ImageFiles, list_images
from common.lfw_pairs import load_lfw_pairs


def load_identity_folders(
    data_dir: str | Path,
    *,
    size: tuple[int, int] | None = FACE_SIZE,
    test_identities: int | None = None,
    num_pairs: int = 6000,
    folds: int = 10,
    seed: int = 0,
    pairs_file: str | Path | None = None,
    pairs_dir: str | Path | None = None,
) -> IdentityData:
    """Images of one folder per identity, and pairs to verify.

    Identities and their images are sorted by name. Hidden folders,
    `__MACOSX` and folders without images, as alignment may leave behind, are
    ignored. One image is enough for an identity.

    Args:
        data_dir: The folder of the folders.
        size: Height and width of every image; `None` takes those of the first.
        test_identities: Number of identities to hold out for the pairs, at
            least two per fold. `None` holds out a tenth, or two per fold if
            that is more.
        num_pairs: Number of pairs of those, a multiple of `2 * folds`.
        folds: Number of folds of those pairs, 2 or more.
        seed: Integer >= 0. Draws the identities that are held out, and pairs.
        pairs_file: LFW's `pairs.txt`, or a file like it. Then all identities
            of `data_dir` are trained on, and the arguments above from
            `test_identities` on mean nothing.
        pairs_dir: Folder of the images of `pairs_file`; see `load_lfw_pairs`.

    Returns:
        The data, named `"folders"`.

    Raises:
        DataError: If there are too few identities for the pairs, if training
            and `pairs_file` share a name, or if an image or `pairs_file` is
            damaged. The message is one line.
    """
    if (pairs_file is None) != (pairs_dir is None):
        raise DataError(
            "pairs_file and pairs_dir must be given together, received "
            f"pairs_file={_quoted(pairs_file)} and pairs_dir="
            f"{_quoted(pairs_dir)}. Give both --pairs_file and --pairs_dir."
        )
    root = existing_path(data_dir)
    images = _find_identities(root)
    size = size or ImageFiles(_joined(images)[:1], None).shape[1:3]
    if pairs_file is not None:
        # Before the many images to train on, so errors come early.
        x_test, pairs = load_lfw_pairs(pairs_file, pairs_dir, size)
        _check_no_common_names(images, x_test, root, Path(pairs_file))
        training = images
        source = f"{root}; pairs of {pairs_file} with images of {pairs_dir}"
    else:
        held_out = _draw_identities(images, test_identities, folds, seed, root)
        testing = {name: images[name] for name in held_out}
        training = {
            name: paths for name, paths in images.items() if name not in testing
        }
        y_test = _labels(testing)
        if num_pairs < 1 or num_pairs % (2 * folds):
            raise DataError(
                f"num_pairs must be a multiple of {2 * folds}, twice the "
                f"number of folds, received {num_pairs}. Correct --num_pairs."
            )
        try:
            pairs = draw_pairs(y_test, num_pairs, folds=folds, seed=seed)
        except DataError as error:
            raise DataError(
                f"{root}: {error} Use --num_pairs or --test_identities."
            ) from error
        x_test = ImageFiles(_joined(testing), size)
        source = str(root)
    return IdentityData(
        name="folders",
        x_train=ImageFiles(_joined(training), size),
        y_train=_labels(training),
        identity_names=tuple(training),
        x_test=x_test,
        pairs=pairs,
        source=source,
    )


def _find_identities(root: Path) -> dict[str, list[Path]]:
    """The images of each identity that has some, sorted."""
    try:
        with os.scandir(root) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if entry.is_dir()
                and not entry.name.startswith(".")
                and entry.name != "__MACOSX"
            )
    except OSError as error:
        raise DataError(
            f"{root} must be a folder of folders, but cannot be read "
            f"({error.strerror}). Correct --data_dir."
        ) from error
    found = {name: list(list_images(root / name).values()) for name in names}
    images = {name: paths for name, paths in found.items() if paths}
    if len(images) < 2:
        raise DataError(
            f"{root} must hold a folder of images for each of 2 or more "
            f"identities, received {len(images)} of {len(names)} folders with "
            "images. Give with --data_dir the folder right above them."
        )
    return images


def _draw_identities(
    images: dict[str, list[Path]],
    number: int | None,
    folds: int,
    seed: int,
    root: Path,
) -> list[str]:
    """Names of the identities to hold out, sorted."""
    if folds < 2:
        raise DataError(
            "folds must be 2 or more, because the threshold of each is chosen "
            f"on the others, received {folds}. Ask for more."
        )
    names = list(images)
    least, most = 2 * folds, len(names) - 2
    if most < least:
        raise DataError(
            f"{root} must hold {least + 2} identities at least, two per fold "
            f"to verify and two to train on, received {len(names)}. Give more "
            "identities, or other people's pairs with --pairs_file."
        )
    if number is None:
        number = max(least, len(names) // 10)
    if not least <= number <= most:
        raise DataError(
            f"{root}: test_identities must be from {least}, two per fold, to "
            f"{most}, which leaves two to train on, received {number}. Correct "
            "--test_identities."
        )
    chosen = np.random.default_rng(seed).permutation(len(names))[:number]
    return [names[index] for index in sorted(chosen)]


def _check_no_common_names(
    images: dict[str, list[Path]], test: ImageFiles, root: Path, file: Path
) -> None:
    """Refuses training on the people of the pairs, as far as names tell."""
    people = {Path(path).parent.name for path in test.paths}
    if common := sorted(people & images.keys()):
        listed = ", ".join(common[:3]) + (", ..." if common[3:] else "")
        raise DataError(
            f"{root} must hold other identities than the pairs of {file}, "
            f"{len(common)} are in both: {listed}. Remove these folders."
        )


def _joined(images: dict[str, list[Path]]) -> list[Path]:
    return [path for paths in images.values() for path in paths]


def _labels(images: dict[str, list[Path]]) -> np.ndarray:
    sizes = [len(paths) for paths in images.values()]
    return np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)


def _quoted(path: str | Path | None) -> str:
    return "None" if path is None else repr(str(path))

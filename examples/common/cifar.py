"""CIFAR-10 and CIFAR-100: 32 x 32 colour photographs (Krizhevsky, 2009)."""

from pathlib import Path

from common.cifar_archives import (
    CifarArchive,
    find_cifar_files,
    read_cifar_files,
)
from common.cifar_specs import (
    CIFAR10_ARCHIVE,
    CIFAR10_CLASSES,
    CIFAR10_FOLDERS,
    CIFAR100_ARCHIVE,
    CIFAR100_CLASSES,
)
from common.dataset_types import DataError, ImageData, existing_path
from common.image_folders import PARTS, FolderSpec, read_image_folders
from common.keras_datasets import load_with_keras

CIFAR10_ZIP = "cifar10.zip"
CIFAR10_ADVICE = (
    "Give with --data_dir the original cifar-10-python.tar.gz, or a zip file "
    "or folder of images as train/CLASS/NAME.jpg and test/CLASS/NAME.jpg."
)
CIFAR100_ADVICE = "Give with --data_dir the original cifar-100-python.tar.gz."


def load_cifar10(
    data_dir: str | Path | None = None,
    *,
    archive: CifarArchive = CIFAR10_ARCHIVE,
    folders: FolderSpec = CIFAR10_FOLDERS,
) -> ImageData:
    """50,000 training and 10,000 test images in 10 classes.

    Args:
        data_dir: One of these, or a folder directly containing one of the
            first three: `cifar-10-python.tar.gz`; the extracted folder
            `cifar-10-batches-py`; `cifar10.zip`, or any other zip file, of
            the images as JPEG or PNG; a folder of such images. `None` takes
            what Keras downloads. JPEG pixels differ slightly from the
            original ones.
        archive: The files of the original form.
        folders: The contents of the form in image folders.

    Raises:
        DataError: If a file is missing, damaged or not the published one, or
            the download fails.
    """
    if data_dir is None:
        return load_with_keras(
            "cifar10", class_names=CIFAR10_CLASSES, advice=CIFAR10_ADVICE
        )
    path = existing_path(data_dir)
    if original := find_cifar_files(path, archive):
        return _load_original("cifar10", original, archive)
    if not (images := _find_image_folders(path)):
        raise DataError(f"{path} holds no CIFAR-10. {CIFAR10_ADVICE}")
    x_train, y_train, x_test, y_test = read_image_folders(images, folders)
    return ImageData(
        name="cifar10",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        class_names=folders.class_names,
        source=str(images),
    )


def load_cifar100(
    data_dir: str | Path | None = None,
    *,
    archive: CifarArchive = CIFAR100_ARCHIVE,
) -> ImageData:
    """50,000 training and 10,000 test images in 100 (fine) classes.

    Args:
        data_dir: `cifar-100-python.tar.gz`, the extracted folder
            `cifar-100-python`, or a folder directly containing one of them.
            `None` takes what Keras downloads.
        archive: The files of the original form.

    Raises:
        DataError: If a file is missing, damaged or not the published one, or
            the download fails.
    """
    if data_dir is None:
        return load_with_keras(
            "cifar100", class_names=CIFAR100_CLASSES, advice=CIFAR100_ADVICE
        )
    path = existing_path(data_dir)
    if not (original := find_cifar_files(path, archive)):
        raise DataError(f"{path} holds no CIFAR-100. {CIFAR100_ADVICE}")
    return _load_original("cifar100", original, archive)


def _load_original(name: str, path: Path, archive: CifarArchive) -> ImageData:
    arrays = read_cifar_files(path, archive)
    return ImageData(name=name, source=str(path), **vars(arrays))


def _find_image_folders(path: Path) -> Path | None:
    """The zip file or folder of images that is at, or in, `path`."""
    if path.is_file():
        return path if path.suffix.lower() == ".zip" else None
    if (path / CIFAR10_ZIP).is_file():
        return path / CIFAR10_ZIP
    has_part = any(
        folder.is_dir()
        for part in PARTS
        for folder in (path / part, *path.glob(f"*/{part}"))
    )
    return path if has_part else None

"""Images with labels: digits, `keras.datasets`, folders and zip files.

    images = load_images("digits")
    x, y = subset(images.x_train, images.y_train, size=500, seed=0)

What is missing or damaged raises `UserError`, whose message is one line. No
pickle is read here; Keras compares checksums before it opens an archive.
"""

import gzip
import io
import re
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import keras
import numpy as np
from PIL import Image


class UserError(Exception):
    """Something that the user can mend; the message says how."""


Dataset = Literal["digits", "fashion_mnist", "cifar10", "cifar100"]
#: Where Debian's package dataset-fashion-mnist puts its files.
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
#: The four files of MNIST and its descendants, in the order of `Images`.
IDX_FILES = [
    f"{part}-{kind}-ubyte.gz"
    for part in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
]
#: Of names in a folder or zip file: part, class and file, below one folder at
#: most. A leading dot, as in `._1.jpg` of macOS, is no image.
IMAGE_NAME = re.compile(
    r"(?!__MACOSX/)(?:[^/]+/)?(train|test)/([^/]+)/"
    r"[^/.][^/]*\.(?i:jpe?g|png|bmp|webp)"
)


@dataclass(frozen=True)
class Images:
    """Images in classes, uint8 of shape `(num, height, width, channels)`."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int
    source: str


def load_images(dataset: Dataset, data_dir: Path | None = None) -> Images:
    """Loads a data set by its name.

    From a zip file or folder of images, `train/CLASS/NAME` and
    `test/CLASS/NAME`, or a folder with the files of Fashion-MNIST; without
    `data_dir` from `keras.datasets`, or Debian's Fashion-MNIST.
    """
    if dataset == "digits":
        return _load_digits()
    if dataset == "fashion_mnist" and data_dir is None and DEBIAN.is_dir():
        data_dir = DEBIAN
    if data_dir is None:
        return _load_with_keras(dataset)
    if (data_dir / IDX_FILES[0]).is_file():
        arrays = [_read_idx(data_dir / name) for name in IDX_FILES]
        return _as_images(str(data_dir), *arrays)
    if data_dir.is_dir():
        paths = (path.relative_to(data_dir) for path in data_dir.rglob("*"))
        names = [path.as_posix() for path in paths]
        return _read_parts(data_dir, names, lambda n: open_file(data_dir / n))
    try:
        with open_file(data_dir) as file, zipfile.ZipFile(file) as archive:
            # Reads the whole image, for only then its checksum is compared.
            return _read_parts(
                data_dir,
                archive.namelist(),
                lambda name: io.BytesIO(archive.read(name)),
            )
    except zipfile.BadZipFile as error:
        raise UserError(
            f"{data_dir} is no folder and no zip file ({error}). For a "
            "published archive leave --data_dir out: Keras reads it."
        ) from error


def _load_digits() -> Images:
    """1,797 digits of 8 x 8 pixels, a fifth of each class for the test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    images = np.rint(pixels * (255 / 16)).astype("uint8").reshape(-1, 8, 8, 1)
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels, test_size=360, stratify=labels, random_state=0
    )
    return _as_images("scikit-learn", x_train, y_train, x_test, y_test)


def _load_with_keras(dataset: str) -> Images:
    """What Keras downloads and keeps in `~/.keras`, or in `KERAS_HOME`."""
    try:
        train, test = getattr(keras.datasets, dataset).load_data()
    except Exception as error:  # Keras' own for a failed download.
        raise UserError(
            f"keras.datasets.{dataset} cannot be loaded ({error}). Give its "
            "images with --data_dir."
        ) from error
    return _as_images(f"keras.datasets.{dataset}", *train, *test)


def _read_idx(path: Path) -> np.ndarray:
    """Reads a compressed IDX file: number of axes, lengths, uint8 values."""
    with open_file(path) as file:
        try:
            content = gzip.decompress(file.read())
            shape = np.frombuffer(content, ">u4", content[3], offset=4)
            start = 4 + shape.nbytes
            return np.frombuffer(content, "uint8", offset=start).reshape(shape)
        except Exception as error:  # Whatever damage makes them raise.
            problem = f"{path} is no complete IDX file ({error})."
            raise UserError(f"{problem} Get it again.") from error


def _read_parts(
    place: Path, names: Iterable[str], open_image: Callable[[str], BinaryIO]
) -> Images:
    """Decodes the images among the names, sorted by class and name."""
    found: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    for name in sorted(names):
        if match := IMAGE_NAME.fullmatch(name):
            found[match[1]].append((match[2], name))
    classes = sorted({label for label, _ in found["train"]})
    unknown = {label for label, _ in found["test"]}.difference(classes)
    if not found["train"] or not found["test"] or unknown:
        raise UserError(
            f"{place} must hold images as train/CLASS/NAME.png (or .jpg) and "
            "test/CLASS/NAME.png, in the same classes. Received "
            f"{len(found['train'])} and {len(found['test'])} images"
            + "".join(f"; {label} in test only" for label in sorted(unknown))
        )
    arrays: list[np.ndarray] = []
    shape = None
    for part in found.values():
        files = [name for _, name in part]
        images = ImageFiles(files, open_image, shape, str(place))
        shape = images.shape[1:]
        labels = [classes.index(label) for label, _ in part]
        arrays += [images[:], np.array(labels)]
    return _as_images(str(place), *arrays)


def _as_images(
    source: str,
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
) -> Images:
    """Gives grey images their channel, and labels one axis."""
    if x_train.ndim == 3:
        x_train, x_test = x_train[..., None], x_test[..., None]
    y_train, y_test = (y.reshape(-1).astype("int64") for y in (y_train, y_test))
    if (len(x_train), len(x_test)) != (len(y_train), len(y_test)):
        raise UserError(f"{source} has not as many labels as images.")
    num_classes = 1 + max(y_train.max(), y_test.max())
    return Images(x_train, y_train, x_test, y_test, int(num_classes), source)


# Image files ----------------------------------------------------------------

#: What Pillow may decode, and how names of such files end.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def open_file(path: str | Path) -> BinaryIO:
    """Opens a file; refuses what could be waited for, such as a pipe."""
    try:
        if Path(path).is_file():
            return open(path, "rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    raise UserError(f"{path} is missing, or is no regular file. Correct it.")


def find_images(folder: Path) -> list[Path]:
    """Finds images below a folder, sorted; what is no folder is an image."""
    if not folder.is_dir():
        return [folder]
    hidden = re.compile(r"(^|/)(\.|__MACOSX/)")
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not hidden.search(path.relative_to(folder).as_posix())
    )


class ImageFiles:
    """Images that are decoded when they are asked for.

    Can be indexed like an array of them, along the first axis. All have one
    shape: height, width and channels, 1 or 3; `None` takes the size of the
    first, and RGB. Messages tell the place where the names are.
    """

    def __init__(
        self,
        names: list[str],
        open_image: Callable[[str], BinaryIO] = open_file,
        shape: tuple[int, ...] | None = None,
        place: str = "",
    ) -> None:
        self.names = names
        self._open, self._place = open_image, place
        shape = shape or self._decode(names[0], None).shape
        self.shape = (len(names), *shape)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.names)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Decodes the images of an index, slice, mask or array of indices."""
        chosen = np.arange(len(self))[index]
        images = np.empty((chosen.size, *self.shape[1:]), "uint8")
        for place, number in enumerate(chosen.flat):
            images[place] = self._decode(self.names[number], self.shape[1:])
        return images.reshape(*chosen.shape, *self.shape[1:])

    def check(self) -> "ImageFiles":
        """Reads all headers, 250,000 in a minute; returns itself."""
        bar = keras.utils.Progbar(len(self), unit_name="image")
        for number, name in enumerate(self.names, start=1):
            self._decode(name, self.shape[1:], pixels=False)
            if number % 1000 == 0 or number == len(self) > 1000:
                bar.update(number)
        return self

    def _decode(
        self, name: str, shape: tuple[int, ...] | None, pixels: bool = True
    ) -> Any:
        where = f"{self._place}: {name}" if self._place else name
        try:
            with self._open(name) as f, Image.open(f, "r", FORMATS) as image:
                size, mode = (image.height, image.width), image.mode
                shape = shape or (*size, 3)
                if mode in ("L", "RGB") and size == shape[:2]:
                    if not pixels:
                        return None
                    mode = "L" if shape[2] == 1 else "RGB"
                    return np.asarray(image.convert(mode)).reshape(shape)
        except UserError:
            raise
        except Exception as error:  # Whatever damage makes Pillow raise.
            problem = f"{where} cannot be decoded ({error})."
            raise UserError(f"{problem} Get it again.") from error
        raise UserError(
            f"{where} must be an RGB or grey image of height {shape[0]} and "
            f"width {shape[1]}, received Pillow's mode {mode}, height "
            f"{size[0]} and width {size[1]}. Convert it."
        )


def subset(x: Any, y: np.ndarray, size: int | None, seed: int) -> Any:
    """Draws images with labels, of each class alike as far as there are.

    A smaller one is part of a larger one. A size of `None` takes all.
    """
    if size is None:
        return x, y
    if size > len(y):
        raise UserError(f"{size} images were asked for, of {len(y)}.")
    shuffled = np.random.default_rng(seed).permutation(len(y))
    # Its place in the queue of its class: all first places come first.
    place = np.empty(len(y), "int64")
    for label in np.unique(y):
        queue = shuffled[y[shuffled] == label]
        place[queue] = np.arange(len(queue))
    order = np.argsort(place[shuffled], kind="stable")
    chosen = np.sort(shuffled[order[:size]])
    return x[chosen], y[chosen]

"""Fashion-MNIST: 28 x 28 grey images of clothes (Xiao et al., 2017)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.dataset_types import DataError, ImageData, existing_path
from common.idx_files import parse_idx
from common.keras_datasets import load_with_keras
from common.verified_files import FileSpec, read_verified

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

# First the published file, then Debian's. Debian removed the file name and
# the time from the gzip headers; the compressed images are the same bytes.
FASHION_MNIST_FILES = {
    "x_train": (
        FileSpec(
            "train-images-idx3-ubyte.gz",
            26421880,
            "sha256:"
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        FileSpec(
            "train-images-idx3-ubyte.gz",
            26421856,
            "sha256:"
            "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        ),
    ),
    "y_train": (
        FileSpec(
            "train-labels-idx1-ubyte.gz",
            29515,
            "sha256:"
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        FileSpec(
            "train-labels-idx1-ubyte.gz",
            29491,
            "sha256:"
            "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
        ),
    ),
    "x_test": (
        FileSpec(
            "t10k-images-idx3-ubyte.gz",
            4422102,
            "sha256:"
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        FileSpec(
            "t10k-images-idx3-ubyte.gz",
            4422079,
            "sha256:"
            "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
        ),
    ),
    "y_test": (
        FileSpec(
            "t10k-labels-idx1-ubyte.gz",
            5148,
            "sha256:"
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
        FileSpec(
            "t10k-labels-idx1-ubyte.gz",
            5125,
            "sha256:"
            "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
        ),
    ),
}
CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
ADVICE = (
    "Install Debian's package dataset-fashion-mnist, or download the four "
    "files *-ubyte.gz of Fashion-MNIST and give their folder with --data_dir."
)


def load_fashion_mnist(
    data_dir: str | Path | None = None,
    *,
    files: Mapping[str, tuple[FileSpec, ...]] = FASHION_MNIST_FILES,
    debian_folder: Path = DEBIAN_FOLDER,
) -> ImageData:
    """60,000 training and 10,000 test images in 10 classes.

    Args:
        data_dir: Folder with the four published files. `None` takes Debian's
            package if installed, and otherwise what Keras downloads.
        files: The accepted versions of each file, by the attribute of
            `ImageData` it fills.
        debian_folder: Where Debian's package puts the files.

    Raises:
        DataError: If a file is missing or is not the published one, or the
            download fails.
    """
    if data_dir is not None:
        folder = existing_path(data_dir)
    elif debian_folder.is_dir():
        folder = debian_folder
    else:
        return load_with_keras(
            "fashion_mnist", class_names=CLASS_NAMES, advice=ADVICE
        )

    arrays = {}
    for attribute, accepted in files.items():
        path = folder / accepted[0].name
        if not path.is_file():
            raise DataError(f"{path} is missing. {ADVICE}")
        contents = read_verified(path, *accepted)
        ndim = 3 if attribute.startswith("x_") else 1
        arrays[attribute] = parse_idx(contents, ndim=ndim, path=path)

    for part in ("train", "test"):
        num_images = len(arrays[f"x_{part}"])
        num_labels = len(arrays[f"y_{part}"])
        if num_images != num_labels:
            raise DataError(
                f"{folder} holds {num_images} {part} images but {num_labels} "
                "labels. Download the files again."
            )
    return ImageData(
        name="fashion_mnist",
        x_train=arrays["x_train"][..., np.newaxis],
        y_train=arrays["y_train"].astype(np.int64),
        x_test=arrays["x_test"][..., np.newaxis],
        y_test=arrays["y_test"].astype(np.int64),
        class_names=CLASS_NAMES,
        source=str(folder),
    )

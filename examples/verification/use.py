"""What a saved model is for: scores, and embeddings of new images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from common.checkpoints import load_model
from common.dataset_types import DataError
from common.identity_data import Images, Pairs
from common.image_files import ImageFiles, list_images
from common.run_folder import write_arrays, write_json
from verification.models import SAVED, embedding_of
from verification.scoring import embed, scores_of, verify


def evaluate(
    model: Path,
    load_pairs: Callable[[tuple[int, int, int]], tuple[Images, Pairs]],
    mirror: bool,
    output: Path | None,
) -> str:
    """Verifies pairs of images with a saved model.

    Args:
        model: File of the whole model or of the embedding network.
        load_pairs: Returns the images and the pairs for a shape of images.
        mirror: Whether to append the features of the mirror images.
        output: JSON file to write, or `None`.

    Returns:
        The scores as text.

    Raises:
        DataError: If the model cannot be loaded, or is for other images.
    """
    network = embedding_of(load_model(model, SAVED))
    images, pairs = load_pairs(network.input_shape[1:])
    _check_shape(network.input_shape[1:], images.shape[1:], model)
    result = verify(network, images, pairs, mirror=mirror)
    if output is not None:
        folds = {
            "accuracy_of_folds": result.accuracy_of_folds.tolist(),
            "thresholds": result.thresholds.tolist(),
        }
        what = {"model": str(model), "pairs": len(pairs), "mirror": mirror}
        write_json(output, what | scores_of(result) | folds)
    rates = ", ".join(
        f"{tpr:.2%} at FPR {rate:g}" for rate, tpr in result.tpr_at_fpr.items()
    )
    spread = result.accuracy_of_folds.std()
    return (
        f"{len(pairs)} pairs: {result.accuracy:.2%} right "
        f"({len(result.accuracy_of_folds)} folds, spread {spread:.2%}), "
        f"equal error rate {result.eer:.2%}, AUC {result.auc:.4f}, TPR {rates}"
    )


def write_embeddings(
    model: Path, places: list[Path], mirror: bool, output: Path | None
) -> str:
    """Writes the embeddings of images to an NPZ file.

    Args:
        model: File of the whole model or of the embedding network.
        places: Image files, and folders of which all images are taken.
        mirror: Whether to append the embeddings of the mirror images.
        output: The file, or `None` for `embeddings.npz`. It gets the arrays
            `embeddings`, float32 of a row for each image, and
            `files`, their paths.

    Returns:
        What was written, as text.

    Raises:
        DataError: If the model or an image cannot be used.
    """
    network = embedding_of(load_model(model, SAVED))
    files: list[Path] = []
    for place in places:
        found = sorted(list_images(place).values()) if place.is_dir() else []
        if place.is_dir() and not found:
            raise DataError(f"{place} holds no image. Give files or folders.")
        files += found or [place]
    height, width, channels = network.input_shape[1:]
    images: Images = ImageFiles(files, (height, width))
    if channels == 1:
        images = Gray(images)
    embeddings = embed(network, images, mirror=mirror)
    path = output or Path("embeddings.npz")
    names = np.array([str(file) for file in files])
    write_arrays(path, embeddings=embeddings, files=names)
    return f"{path}: {len(files)} embeddings of length {embeddings.shape[1]}"


class Gray:
    """The brightness of RGB images, for networks of one channel.

    Args:
        images: The images, `(num_images, height, width, 3)`.
    """

    def __init__(self, images: Images) -> None:
        self._images = images
        self.shape = (*images.shape[:-1], 1)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._images)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Returns the images by the weights of ITU-R BT.601."""
        brightness = self._images[index] @ np.array([0.299, 0.587, 0.114])
        return np.rint(brightness).astype("uint8")[..., np.newaxis]


def _check_shape(
    expected: tuple[int, ...], received: tuple[int, ...], model: Path
) -> None:
    if tuple(expected) != tuple(received):
        raise DataError(
            f"{model} takes images of the shape {tuple(expected)}, those of "
            f"the data set have {tuple(received)}. Give the data set that it "
            "was trained on."
        )

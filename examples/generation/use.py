"""What a saved generator is for: images, and their scores."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from common.dataset_types import DataError
from common.image_data import ImageData
from common.run_folder import write_arrays, write_json
from common.subsets import evenly_chosen
from generation.classifier import Classifier
from generation.evaluation import (
    generate,
    load_generator,
    protocol,
    real_features,
    score_images,
)
from generation.monitor import SHEET
from generation.recipes import Recipe
from generation.sheets import write_sheet

#: What can be scored beside the files of generators.
REAL = ("train", "test")
#: Where generated images go if no place is given.
GENERATED = "generated.npz"


def write_images(
    model: Path, count: int, seed: int, output: Path | None
) -> str:
    """Writes generated images, `images` in an NPZ file, and a sheet.

    Args:
        model: A saved generator.
        count: Number of images.
        seed: Seed of the noise.
        output: The NPZ file; `GENERATED` if `None`.

    Returns:
        What was written, as text.
    """
    output = output or Path(GENERATED)
    images = generate(load_generator(model), count, seed)
    write_arrays(output, images=images)
    picture = write_sheet(images[:SHEET], output.with_suffix(".png"))
    return f"{output}: {count} images, uint8 {images.shape[1:]}; {picture}"


def images_to_score(
    what: str, data: ImageData
) -> Callable[[int, int], np.ndarray]:
    """Returns what gives images of a saved generator, or real ones.

    Args:
        what: The generator's file, or `train` or `test` for real images.
        data: The data set.

    Returns:
        From the number of images and the seed of the noise to the images;
        fewer if there are not so many real ones.

    Raises:
        DataError: If the file is unusable, or of another data set.
    """
    if what in REAL:
        images: np.ndarray = getattr(data, f"x_{what}")
        return lambda count, _: images[evenly_chosen(len(images), count)]
    generator = load_generator(Path(what))
    shape = generator.output_shape[1:]
    if shape != data.x_train.shape[1:]:
        raise DataError(
            f"{what} makes images of shape {shape}, but {data.name} has "
            f"{data.x_train.shape[1:]}. Give its --dataset."
        )
    return lambda count, seed: generate(generator, count, seed)


def evaluate(
    what: str,
    images: np.ndarray,
    data: ImageData,
    classifier: Classifier,
    recipe: Recipe,
    seed: int,
    output: Path | None,
) -> str:
    """Scores the images of a saved generator, or real ones.

    Args:
        what: Where the images are from, for the file.
        images: The images, uint8.
        data: The data set; features are compared with those of its training
            images.
        classifier: What scores.
        recipe: Says how many images are scored.
        seed: Seed of the noise.
        output: JSON file to write, or `None`.

    Returns:
        The scores as text.
    """
    real = real_features(classifier, data, recipe.scored)
    scores = score_images(images, classifier, real, recipe.splits)
    if output is not None:
        settings = protocol(
            classifier, len(images), len(real), recipe.splits, seed
        )
        write_json(
            output,
            {"images": what, "protocol": settings, "scores": asdict(scores)},
        )
    return (
        f"{len(images)} images by {classifier.name}: classifier score "
        f"{scores.classifier_score:.3f} (spread of {recipe.splits} parts "
        f"{scores.classifier_score_spread:.3f}), Frechet distance "
        f"{scores.frechet_distance:.3f}, kernel distance "
        f"{scores.kernel_distance:.4f} ± {scores.kernel_distance_error:.4f}"
    )

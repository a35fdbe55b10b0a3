"""Aligns photographs of faces to the layout published with SphereFace.

    pip install ".[faces]"
    python examples/align_faces.py PHOTOS ALIGNED

finds the largest face of every photograph, its eyes, nose and corners of the
mouth, and turns, scales and crops it to 112 rows and 96 columns with these
near the published points. The tree of folders is kept, for example
`IDENTITY/NAME.jpg`. Images that are there already are not made again. What
cannot be aligned is listed in `ALIGNED/skipped.json`. `--example OUTPUT` shows
it on a photograph that comes with scikit-image.

Faces are found by MTCNN (Zhang et al., 2016) of the package `mtcnn`, on
TensorFlow. Its wheel holds the weights as pickles, which can run code: they
are trusted like the package's code. Photographs are not trusted.
"""

import os

if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "tensorflow"  # MTCNN's, whatever was set.

import dataclasses
import functools
import importlib.resources
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import runs
import keras
import numpy as np
import tyro
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from data import FORMATS, find_images, open_file

# Eyes, nose, corners of the mouth, those on the left of the image first, as
# (x, y): `coord5point` of SphereFace's preprocess/code/face_align_demo.m. Where
# MATLAB counts the first pixel as 1, an array's indices begin at 0.
POINTS = np.array(
    [
        [30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366],
        [33.5493, 92.3655], [62.7299, 92.2041],
    ]
) - 1.0  # fmt: skip
ROWS, COLUMNS = 112, 96
#: Side of the smallest face that is looked for; as published, in pixels.
MIN_FACE = 20
#: Photographs with a longer side are shrunk before faces are looked for.
MAX_SIDE = 1600


@dataclasses.dataclass(frozen=True)
class Options(runs.Options):
    """Aligns the largest face of each photograph."""

    places: tyro.conf.Positional[tuple[Path, ...]] = ()
    """A folder of photographs, or one of them; the folder of aligned images."""
    min_confidence: float = 0.9  # Of a face, from 0 to 1; as published.
    example: Path | None = None
    """Instead, align the photograph of scikit-image and draw it there."""


class PhotoError(runs.UserError):
    """A photograph cannot be aligned; the message is the reason."""


def read_photo(path: Path) -> Image.Image:
    """Decodes a photograph, upright, to 8-bit RGB, and white if transparent."""
    try:
        with warnings.catch_warnings(), open_file(path) as file:
            warnings.simplefilter("ignore")  # Of damaged EXIF data.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                image = ImageOps.exif_transpose(image)
                if image.mode.startswith("I"):  # 16 bits, which would be cut.
                    pixels = np.asarray(image).astype("int64") >> 8
                    image = Image.fromarray(pixels.clip(0, 255).astype("uint8"))
                if image.has_transparency_data:
                    image = image.convert("RGBA")
                    white = Image.new("RGBA", image.size, "white")
                    image = Image.alpha_composite(white, image)
                return image.convert("RGB")
    except Exception as error:  # Whatever a damaged file makes Pillow raise.
        raise PhotoError(f"cannot be read: {error}") from error


#: From uint8 pixels to a row for each face: number of the image, left, top,
#: right, bottom, confidence, five x, five y.
Detector = Callable[[np.ndarray], Any]


def mtcnn_detector(min_confidence: float) -> Detector:
    """Returns MTCNN with the thresholds and image pyramid of SphereFace."""
    from mtcnn import MTCNN
    from mtcnn.stages import StageONet, StagePNet, StageRNet

    # By name it would take files of the working folder first.
    folder = importlib.resources.files("mtcnn") / "assets" / "weights"
    stages = {"pnet": StagePNet, "rnet": StageRNet, "onet": StageONet}
    mtcnn = MTCNN([stages[n](weights=str(folder / f"{n}.lz4")) for n in stages])
    return functools.partial(
        mtcnn.detect_faces,
        output_type="numpy",  # With fractions of pixels.
        box_format="xyxy",
        fit_to_image=False,
        min_face_size=MIN_FACE,
        scale_factor=0.709,
        threshold_pnet=0.6,
        threshold_rnet=0.7,
        threshold_onet=min_confidence,
    )


def largest_face(photo: Image.Image, detect: Detector) -> Any:
    """Returns the box `(4,)` and the points `(5, 2)` of the largest face."""
    factor = -(-max(photo.size) // MAX_SIDE)
    small = photo.reduce(factor) if factor > 1 else photo
    rows = detect(np.asarray(small)) if min(small.size) >= MIN_FACE else []
    if len(rows) == 0:
        raise PhotoError("no face found")
    # Published is the largest product of a box's lower right coordinates.
    row = max(rows, key=lambda row: (row[3] - row[1]) * (row[4] - row[2]))
    points = (row[6:16].reshape(2, 5).T + 0.5) * factor - 0.5
    return row[1:5] * factor, points


def fit(points: np.ndarray) -> Any:
    """Returns the map from the aligned image to the photograph's `points`."""
    from skimage.transform import SimilarityTransform

    if np.isfinite(points).all():  # Least squares, as MATLAB's `cp2tform`.
        transform = SimilarityTransform.from_estimate(POINTS, points)
        if transform and transform.scale > 0:
            return transform
    raise PhotoError("its points are not those of a face")


def align(photo: Image.Image, points: np.ndarray) -> np.ndarray:
    """Turns, scales and crops, uint8 of shape `(112, 96, 3)`.

    As published: bilinear, and black outside of the photograph. One that has
    two or more pixels for each of the image is shrunk before.
    """
    from skimage.transform import warp

    to_photo = fit(points)
    if (factor := int(to_photo.scale)) > 1:
        photo = photo.reduce(factor)
        to_photo = fit((points + 0.5) / factor - 0.5)
    how = {"output_shape": (ROWS, COLUMNS), "order": 1, "preserve_range": True}
    pixels = warp(np.asarray(photo), to_photo, **how)
    return np.rint(pixels).astype("uint8")


def save(pixels: np.ndarray, path: Path) -> None:
    """Writes an image, all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    runs.write(path, image.save)


def align_photos(options: Options, detect: Detector) -> None:
    """Aligns what has no aligned image yet; lists what cannot be aligned."""
    source, output = options.places
    if not source.is_dir():
        open_file(source).close()
    root = source if source.is_dir() else source.parent
    names = [path.relative_to(root) for path in find_images(source)]
    if not names:
        raise runs.UserError(f"{source} holds no photograph. Correct it.")
    above = (output / "x").resolve().parents if root == source else [output]
    if root.resolve() in [path.resolve() for path in above]:
        raise runs.UserError(f"{output} must be outside of {root}.")
    made: dict[Path, Path] = {}
    skipped: dict[str, str] = {}
    bar = keras.utils.Progbar(len(names), unit_name="photo")
    for number, name in enumerate(names, start=1):
        place = output / name.with_suffix(".png")
        try:
            if made.setdefault(place, name) != name:
                raise PhotoError(f"it would replace that of {made[place]}")
            if not place.exists():
                photo = read_photo(root / name)
                save(align(photo, largest_face(photo, detect)[1]), place)
        except PhotoError as error:
            skipped[str(name)] = " ".join(str(error).split())
        bar.update(number)
    output.mkdir(parents=True, exist_ok=True)
    runs.write_json(output / "skipped.json", skipped)
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}", file=sys.stderr)
    if len(skipped) == len(names):
        raise runs.UserError(f"{output}: no photograph could be aligned.")
    print(f"{output}: {len(names) - len(skipped)} of {len(names)} aligned")


def align_example(folder: Path, detect: Detector) -> None:
    """Aligns and draws Eileen Collins, by NASA, in the public domain."""
    from skimage.data import astronaut

    photo = Image.fromarray(astronaut())
    box, points = largest_face(photo, detect)
    pixels, placed = align(photo, points), fit(points).inverse(points)
    apart = float(np.sqrt(((placed - POINTS) ** 2).sum(axis=1).mean()))
    save(pixels, folder / "astronaut.png")
    figure = Figure(figsize=(7.4, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 0.85])
    for axes, image in ((left, photo), (right, pixels)):
        axes.imshow(image)
        axes.set_axis_off()
    left.plot(*points.T, "+", color="lime", ms=6)
    left.plot(box[[0, 2, 2, 0, 0]], box[[1, 1, 3, 3, 1]], color="lime")
    right.plot(*POINTS.T, "o", ms=12, mfc="none", label="published points")
    right.plot(*placed.T, "+", color="lime", ms=9, label="points of the face")
    figure.legend(loc="outside lower center", ncols=2)
    picture = runs.save_figure(figure, folder / "aligned_astronaut.png")
    print(f"{picture}: points are {apart:.2f} pixels apart (rms)")


def main(
    arguments: list[str] | None = None, detect: Detector | None = None
) -> int:
    """Runs the program, with another detector if given; returns its code."""

    def work(options: Options) -> None:
        if len(options.places) != (0 if options.example else 2):
            raise runs.UserError("Give PHOTOS and ALIGNED, or --example.")
        found = detect or mtcnn_detector(options.min_confidence)
        if options.example is None:
            return align_photos(options, found)
        return align_example(options.example, found)

    return runs.main(Options, work, arguments, extra="faces")


if __name__ == "__main__":
    sys.exit(main())

"""The alignment of one photograph, as a picture.

The photograph is of Eileen Collins, by NASA, in the public domain; it comes
with scikit-image.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from skimage import data

from alignment.faces import Detector, Face, find_face
from alignment.folder_run import save_image
from alignment.warping import (
    REFERENCE_POINTS,
    align,
    place_landmarks,
    rms_distance,
)
from common.figures import save_figure

ALIGNED = "astronaut.png"
PICTURE = "aligned_astronaut.png"


def align_astronaut(output: Path, detector: Detector) -> float:
    """Writes the aligned face, and a picture of it beside the photograph.

    Args:
        output: Folder of the two files, `ALIGNED` and `PICTURE`.
        detector: Finds the faces of an image.

    Returns:
        Root mean square distance of landmarks from reference points, in
        pixels of the aligned image.

    Raises:
        PhotoError: If no face is found.
        DataError: If a file cannot be written.
    """
    photo = Image.fromarray(data.astronaut())
    face = find_face(photo, detector)
    aligned = align(photo, face.landmarks)
    save_image(aligned, output / ALIGNED)
    save_figure(_draw(photo, face, aligned), output / PICTURE, dpi=90)
    return rms_distance(face.landmarks)


def _draw(photo: Image.Image, face: Face, aligned: np.ndarray) -> Figure:
    with mpl.rc_context({"axes.titlesize": "medium"}):
        figure = Figure(figsize=(7.4, 4.2), layout="constrained")
        left, right = figure.subplots(
            1, 2, gridspec_kw={"width_ratios": [1.0, 0.85]}
        )
    left.imshow(photo)
    left.plot(*face.landmarks.T, "+", color="lime", markersize=6)
    x, y, x_end, y_end = face.box
    left.plot([x, x_end, x_end, x, x], [y, y, y_end, y_end, y], color="lime")
    left.set_title("photograph, largest face and landmarks")
    right.imshow(aligned, interpolation="nearest")
    right.plot(
        *REFERENCE_POINTS.T,
        "o",
        color="deepskyblue",
        fillstyle="none",
        markersize=12,
        markeredgewidth=1.5,
        label="reference points",
    )
    right.plot(
        *place_landmarks(face.landmarks).T,
        "+",
        color="lime",
        markersize=9,
        label="landmarks",
    )
    right.set_title(
        f"aligned, {rms_distance(face.landmarks):.1f} pixels rms apart"
    )
    figure.legend(
        *right.get_legend_handles_labels(), loc="outside lower center", ncols=2
    )
    for axes in (left, right):
        axes.set_axis_off()
    return figure

"""Faces in a photograph, and the choice of the one to align."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from alignment.photos import PhotoError

# Side of the smallest face that is looked for, in pixels; as published.
MIN_FACE = 20
# Photographs with a longer side are shrunk before faces are looked for, which
# bounds time and memory. The published images are smaller.
DETECTION_SIDE = 1600


@dataclass(frozen=True)
class Face:
    """A detected face.

    Attributes:
        box: `(left, top, right, bottom)`, in pixels.
        landmarks: Eyes, nose and corners of the mouth, `(x, y)` in pixels, in
            the order of `warping.PUBLISHED_POINTS`, shape `(5, 2)`.
    """

    box: tuple[float, float, float, float]
    landmarks: np.ndarray

    @property
    def area(self) -> float:
        """Area of the box, in square pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


# From the pixels, uint8 of shape `(height, width, 3)`, to all faces.
Detector = Callable[[np.ndarray], list[Face]]


def find_face(photo: Image.Image, detector: Detector) -> Face:
    """Returns the face of the largest box, in pixels of the photograph.

    The published program says "pick the largest face" too, but multiplies
    the coordinates of the boxes' lower right corners instead of their sides.

    Raises:
        PhotoError: If the photograph is too small, or no face is found.
    """
    factor = -(-max(photo.size) // DETECTION_SIDE)
    searched = photo.reduce(factor) if factor > 1 else photo
    if min(searched.size) < MIN_FACE:
        width, height = photo.size
        raise PhotoError(f"too small, with {width} x {height} pixels")
    faces = detector(np.asarray(searched))
    if not faces:
        raise PhotoError("no face found")
    face = max(faces, key=lambda face: face.area)
    left, top, right, bottom = (edge * factor for edge in face.box)
    return replace(
        face,
        box=(left, top, right, bottom),
        landmarks=(face.landmarks + 0.5) * factor - 0.5,
    )

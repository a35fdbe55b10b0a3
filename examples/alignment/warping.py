"""The published layout of a face, and the warp of a photograph to it.

Points are `(x, y)` in pixels, counted from the centre of the first pixel, as
array indices are.
"""

import numpy as np
from PIL import Image
from skimage.transform import SimilarityTransform, warp

from alignment.photos import PhotoError

ALIGNED_SHAPE = (112, 96)  # rows, columns
# `coord5point` of SphereFace's preprocess/code/face_align_demo.m: the eye and
# the mouth's corner on the left of the image come before those on the right.
PUBLISHED_POINTS = {
    "left eye": (30.2946, 51.6963),
    "right eye": (65.5318, 51.5014),
    "nose": (48.0252, 71.7366),
    "left corner of the mouth": (33.5493, 92.3655),
    "right corner of the mouth": (62.7299, 92.2041),
}
# MATLAB, where these are used, counts the first pixel as 1.
REFERENCE_POINTS = np.array(list(PUBLISHED_POINTS.values())) - 1.0


def align(photo: Image.Image, landmarks: np.ndarray) -> np.ndarray:
    """Turns, scales and crops a photograph so that its face is in place.

    As published: the similarity transform of least squares, measured in
    pixels of the photograph, bilinear interpolation, black outside of the
    photograph. Differs: where two or more of its pixels fall on one of the
    aligned image, the photograph is first shrunk, by the mean of blocks.

    Args:
        photo: RGB image.
        landmarks: The five points of `PUBLISHED_POINTS` in the photograph,
            shape `(5, 2)`.

    Returns:
        The aligned image, uint8, shape `(112, 96, 3)`.

    Raises:
        PhotoError: If the landmarks are not finite or all in one place.
    """
    to_photo = fit_transform(landmarks)
    if (factor := int(to_photo.scale)) > 1:
        photo = photo.reduce(factor)
        to_photo = fit_transform((landmarks + 0.5) / factor - 0.5)
    aligned = warp(
        np.asarray(photo),
        to_photo,
        output_shape=ALIGNED_SHAPE,
        order=1,
        preserve_range=True,
    )
    return np.rint(aligned).astype(np.uint8)


def place_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Where the landmarks of a photograph are in the aligned image."""
    return fit_transform(landmarks).inverse(landmarks)


def rms_distance(landmarks: np.ndarray) -> float:
    """Root mean square distance of aligned landmarks from the references.

    It is in pixels of the aligned image. Faces differ in shape, so it is not
    zero; it is large for faces seen from the side and for wrong landmarks.
    """
    errors = place_landmarks(landmarks) - REFERENCE_POINTS
    return float(np.sqrt((errors**2).sum(axis=1).mean()))


def fit_transform(landmarks: np.ndarray) -> SimilarityTransform:
    """The map from the aligned image, without a reflection, to the photograph.

    MATLAB's `cp2tform` also fits this direction, and allows for reflection.
    """
    if np.isfinite(landmarks).all():
        transform = SimilarityTransform.from_estimate(
            REFERENCE_POINTS, landmarks
        )
        if transform and transform.scale > 0:
            return transform
    raise PhotoError("its landmarks are not those of a face")

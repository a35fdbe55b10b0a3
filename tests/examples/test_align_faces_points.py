"""The layout of aligned faces, and the warp to it, on known points."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("skimage")

from alignment.photos import PhotoError
from alignment.warping import (
    PUBLISHED_POINTS,
    REFERENCE_POINTS,
    align,
    fit_transform,
    place_landmarks,
    rms_distance,
)


def similarity(points, scale, degrees, shift):
    """Turns, scales and moves points."""
    x, y = scale * np.array(
        [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]
    )
    return points @ np.array([[x, y], [-y, x]]) + shift


def photo_of_dots(points, sigma, side=600):
    """A black photograph with a bright, round dot at each point."""
    rows, columns = np.mgrid[:side, :side]
    light = sum(
        np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
        for x, y in points
    )
    return Image.fromarray((255 * light).astype(np.uint8)).convert("RGB")


def centre_of_light(pixels, point, reach=8):
    """Centroid of the pixels about a point."""
    x, y = np.rint(point).astype(int)
    rows, columns = np.mgrid[y - reach : y + reach, x - reach : x + reach]
    light = pixels[rows, columns, 0].astype(float)
    centre = [(columns * light).sum(), (rows * light).sum()]
    return np.array(centre) / light.sum()


@pytest.mark.parametrize("degrees", [0, 25, -70, 180])
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.9, 2.6, 4.0])
def test_dots_land_on_the_reference_points(scale, degrees):
    middle = REFERENCE_POINTS.mean(axis=0)
    points = similarity(
        REFERENCE_POINTS - middle, scale, degrees, np.array([291.3, 304.8])
    )
    photo = photo_of_dots(points, sigma=1.5 * scale)
    aligned = align(photo, points)
    assert aligned.shape == (112, 96, 3)
    assert aligned.dtype == np.uint8
    for point in REFERENCE_POINTS:
        np.testing.assert_allclose(
            centre_of_light(aligned, point), point, atol=0.1
        )
    np.testing.assert_allclose(
        place_landmarks(points), REFERENCE_POINTS, atol=1e-6
    )
    assert rms_distance(points) < 1e-6


def test_points_are_the_published_ones_in_matlabs_pixels():
    """What MATLAB calls pixel 1 is pixel 0 here."""
    published = np.array(list(PUBLISHED_POINTS.values()))
    np.testing.assert_array_equal(published[0], [30.2946, 51.6963])
    np.testing.assert_allclose(published - 1, REFERENCE_POINTS)
    pixels = np.random.default_rng(0).integers(
        0, 256, (130, 120, 3), dtype=np.uint8
    )
    aligned = align(Image.fromarray(pixels), published - 1)
    np.testing.assert_array_equal(aligned, pixels[:112, :96])


def test_fit_is_that_of_cp2tform():
    """MATLAB solves `[u; v] = [x y 1 0; y -x 0 1] r` by least squares."""
    rng = np.random.default_rng(3)
    landmarks = similarity(REFERENCE_POINTS, 1.4, 12, 30.0)
    landmarks += rng.normal(scale=4.0, size=landmarks.shape)
    (x, y), one, zero = REFERENCE_POINTS.T, np.ones(5), np.zeros(5)
    left = np.block([[x, y, one, zero], [y, -x, zero, one]])
    left = left.reshape(2, 4, 5).transpose(0, 2, 1).reshape(10, 4)
    a, b, u, v = np.linalg.lstsq(left, landmarks.T.ravel(), rcond=None)[0]
    expected = [[a, b, u], [-b, a, v], [0, 0, 1]]
    fitted = fit_transform(landmarks).params
    np.testing.assert_allclose(fitted, expected, rtol=1e-6, atol=1e-9)
    assert 1.0 < rms_distance(landmarks) < 6.0


def test_outside_of_the_photograph_is_black():
    pixels = np.full((130, 120, 3), 200, np.uint8)
    aligned = align(Image.fromarray(pixels), REFERENCE_POINTS - [20, 30])
    assert (aligned[:30] == 0).all()
    assert (aligned[:, :20] == 0).all()
    assert (aligned[31:, 21:] == 200).all()


@pytest.mark.parametrize("value", [7.0, np.nan, np.inf])
def test_landmarks_of_no_face(value):
    photo = Image.new("RGB", (130, 120))
    with pytest.raises(PhotoError, match="landmarks are not those of a face"):
        align(photo, np.full((5, 2), value))

"""The program that aligns faces; a stand-in takes the place of MTCNN."""

import json
import os
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import align_faces
from align_faces import POINTS, PhotoError, fit, largest_face

pytest.importorskip("skimage")


def row(points, box=(10, 10, 60, 70)):
    return np.array([0, *box, 0.99, *np.asarray(points).T.ravel()])


def detect(pixels):
    """A face right of and below the published one where there is light."""
    return [row(np.add(POINTS, [12, 9]))] if pixels.any() else []


PIXELS = np.random.default_rng(0).integers(0, 256, (130, 120, 3), "uint8")


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def test_fit_is_that_of_cp2tform():
    """MATLAB solves `[u; v] = [x y 1 0; y -x 0 1] r` by least squares."""
    noise = np.random.default_rng(3).normal(scale=4, size=(5, 2))
    points = 1.4 * POINTS + 30 + noise
    (x, y), one, zero = POINTS.T, np.ones(5), np.zeros(5)
    left = [np.array([x, y, one, zero]).T, np.array([y, -x, zero, one]).T]
    a, b, u, v = np.linalg.lstsq(np.vstack(left), points.T.ravel())[0]
    expected = [[a, b, u], [-b, a, v], [0, 0, 1]]
    np.testing.assert_allclose(fit(points).params, expected, atol=1e-6)
    with pytest.raises(PhotoError, match="not those of a face"):
        fit(np.full((5, 2), 7.0))


def test_the_largest_face_also_of_a_large_photograph():
    # The published rule would take the second one, of the largest corner.
    boxes = [(0, 0, 50, 50), (100, 100, 120, 130), (10, 10, 60, 65)]
    rows = [row(np.full((5, 2), k), box) for k, box in enumerate(boxes)]
    box, points = largest_face(Image.new("RGB", (200, 150)), lambda _: rows)
    assert (box.tolist(), points[0, 0]) == ([10, 10, 60, 65], 2)
    # Of every third pixel: pixel 2 there is 6, 7 and 8 here.
    points = largest_face(Image.new("RGB", (3201, 160)), lambda _: rows)[1]
    assert points[0, 0] == 7


def test_kinds_of_photographs(tmp_path):
    exif, grey = Image.Exif(), np.repeat(PIXELS[..., :1], 3, axis=2)
    exif[0x0112] = 6  # The camera was turned.
    alpha = np.where(PIXELS[..., :1] > 99, 255, 0).astype("uint8")
    rgba = np.concatenate([PIXELS, alpha], axis=2)
    for pixels, expected, options in (
        (PIXELS[..., 0].astype("uint16") * 256 + 77, grey, {}),
        (rgba, np.where(alpha, PIXELS, 255), {}),
        (np.rot90(PIXELS), PIXELS, {"exif": exif}),
    ):
        save(tmp_path / "photo.png", pixels, **options)
        photo = align_faces.read_photo(tmp_path / "photo.png")
        np.testing.assert_array_equal(np.asarray(photo), expected)


def test_a_tree_is_aligned_and_the_rest_is_listed(tmp_path, capsys):
    source, output = tmp_path / "photos", tmp_path / "new" / "aligned"
    for name in ("a/1.png", "b b/x/1.2.bmp", "z.jpg", "z.png", ".git/a.png"):
        save(source / name, PIXELS)
    save(source / "black.png", PIXELS * 0)
    whole = (source / "a" / "1.png").read_bytes()
    (source / "cut.png").write_bytes(whole[:9000])
    os.mkfifo(source / "pipe.jpg")
    reasons = {
        "black.png": "no face found",
        "cut.png": "cannot be read",
        "pipe.jpg": "no regular file",
        "z.png": "would replace that of z.jpg",
    }
    for _ in range(2):  # What is there already stays.
        assert align_faces.main([str(source), str(output)], detect) == 0
        skipped = json.loads((output / "skipped.json").read_text())
        assert list(skipped) == list(reasons)
        assert all(reasons[name] in skipped[name] for name in reasons)
        assert "3 of 7 aligned" in capsys.readouterr().out
        (output / "a" / "1.png").write_bytes(b"kept")
    with Image.open(output / "b b" / "x" / "1.2.png") as image:
        np.testing.assert_array_equal(np.asarray(image), PIXELS[9:121, 12:108])
    assert (output / "a" / "1.png").read_bytes() == b"kept"
    assert len([p for p in output.rglob("*") if p.is_file()]) == 4


def test_what_cannot_be_done_is_one_line(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "photos"
    save(folder / "a.png", PIXELS * 0)
    for places, message in (
        ([folder, tmp_path / "y"], "no photograph could be aligned"),
        ([folder, folder / "b"], "must be outside of"),
    ):
        assert align_faces.main([*map(str, places)], detect) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
    monkeypatch.setitem(sys.modules, "mtcnn", None)
    assert align_faces.main([str(folder), str(tmp_path / "y")]) == 2
    assert 'pip install ".[faces]"' in capsys.readouterr().err


def test_the_example(tmp_path, capsys):
    face = row(1.1 * POINTS + [176, 43])
    assert align_faces.main(["--example", str(tmp_path)], lambda _: [face]) == 0
    assert "0.00 pixels" in capsys.readouterr().out
    with Image.open(tmp_path / "aligned_astronaut.png") as image:
        assert np.asarray(image).std() > 10


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="MTCNN needs TensorFlow"
)
def test_mtcnn():
    pytest.importorskip("mtcnn")
    from skimage.data import astronaut

    detect = align_faces.mtcnn_detector(0.9)
    points = largest_face(Image.fromarray(astronaut()), detect)[1]
    expected = [[203, 101], [246, 103], [224, 127], [201, 139], [244, 141]]
    np.testing.assert_allclose(points, expected, atol=4)

"""The program that aligns faces, from photographs to files.

A stand-in takes the place of MTCNN.
"""

import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import align_faces

pytest.importorskip("skimage")

from alignment import faces
from alignment.faces import Face, find_face
from alignment.folder_run import SKIPPED
from alignment.photos import read_photo
from alignment.warping import REFERENCE_POINTS
from support.command_line import one_line, refused

BOX = (10.0, 10.0, 60.0, 70.0)


class Detector:
    """Stand-in for MTCNN: a face in every photograph that is not black.

    Its landmarks are the reference points, so that the aligned image is the
    upper left corner of the photograph.
    """

    def __init__(self, stop_after=None):
        self.calls = 0
        self._stop_after = stop_after

    def __call__(self, pixels):
        if self.calls == self._stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        return [Face(BOX, REFERENCE_POINTS)] if pixels.any() else []


def random_pixels(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, shape or (130, 120, 3), dtype=np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def load(path):
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def cropped(pixels):
    return pixels[:112, :96]


def test_largest_face_is_aligned():
    # The published rule would take the second one, of the largest corner.
    boxes = [(0, 0, 50, 50), (100, 100, 120, 130), (10, 10, 60, 65)]
    found = [Face(box, np.full((5, 2), i)) for i, box in enumerate(boxes)]
    face = find_face(Image.new("RGB", (200, 150)), lambda pixels: found)
    assert face.box == boxes[2]
    assert (face.landmarks == 2).all()


def test_faces_of_large_photographs_are_looked_for_in_small_ones():
    side = faces.DETECTION_SIDE
    photo = Image.new("RGB", (2 * side + 1, side))
    shapes = []

    def detector(pixels):
        shapes.append(pixels.shape)
        return [Face(BOX, REFERENCE_POINTS)]

    face = find_face(photo, detector)
    assert shapes == [(-(-side // 3), -(-(2 * side + 1) // 3), 3)]
    assert face.box == tuple(3 * edge for edge in BOX)
    # The centre of pixel 0 of the small one is that of pixels 0, 1 and 2.
    np.testing.assert_allclose(face.landmarks, 3 * REFERENCE_POINTS + 1)


def test_tree_is_kept(tmp_path, capsys):
    names = ["ann/0001.jpg", "ann/0002.png", "bo b/x/1.2.JPEG", "top.bmp"]
    photos = [
        save(tmp_path / "photos" / name, random_pixels(seed=i))
        for i, name in enumerate(names)
    ]
    for ignored in ("ann/.0003.jpg", "__MACOSX/ann/1.jpg", ".git/a.png"):
        save(tmp_path / "photos" / ignored, random_pixels())
    (tmp_path / "photos" / "notes.txt").write_text("x")
    output = tmp_path / "deep" / "aligned"
    assert run(tmp_path / "photos", output, Detector()) == 0
    expected = ["ann/0001.png", "ann/0002.png", "bo b/x/1.2.png", "top.png"]
    assert files_of(output) == sorted([*expected, SKIPPED])
    for photo, name in zip(photos, expected, strict=True):
        pixels = load(output / name)
        assert pixels.shape == (112, 96, 3)
        np.testing.assert_array_equal(pixels, cropped(load(photo)))
    assert skipped_of(output) == {}
    printed = capsys.readouterr().out
    assert "4 aligned, 0 kept from before, 0 skipped" in printed


def test_single_photograph_as_jpeg(tmp_path):
    photo = save(tmp_path / "me.png", np.full((130, 120, 3), 90, np.uint8))
    assert run(photo, tmp_path / "out", Detector(), "--format=jpg") == 0
    assert files_of(tmp_path / "out") == ["me.jpg", SKIPPED]
    with Image.open(tmp_path / "out" / "me.jpg") as image:
        assert image.format == "JPEG"
    assert abs(load(tmp_path / "out" / "me.jpg").astype(int) - 90).max() < 3


def test_grey_deep_transparent_and_turned_photographs(tmp_path):
    rgb = random_pixels()
    alpha = np.zeros_like(rgb[..., :1])
    alpha[:50] = 255
    grey = np.repeat(rgb[..., :1], 3, axis=2)
    save(tmp_path / "grey.png", rgb[..., 0])
    save(tmp_path / "deep.png", rgb[..., 0].astype(np.uint16) * 256 + 77)
    save(tmp_path / "rgba.png", np.concatenate([rgb, alpha], axis=2))
    save(tmp_path / "two.png", (rgb[..., 0] > 127))
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera was turned: rotate by 270 degrees.
    save(tmp_path / "turned.png", np.rot90(rgb), exif=exif)
    with_white = np.where(alpha == 255, rgb, 255)
    expected = {
        "grey": grey,
        "deep": grey,
        "rgba": with_white,
        "two": np.where(grey > 127, 255, 0),
        "turned": rgb,
    }
    for name, pixels in expected.items():
        image = read_photo(tmp_path / f"{name}.png")
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_skipped_photographs_are_reported_and_the_rest_is_aligned(
    tmp_path, capsys
):
    source, output = tmp_path / "photos", tmp_path / "aligned"
    save(source / "a.png", random_pixels())
    save(source / "black.png", np.zeros((130, 120, 3), np.uint8))
    save(source / "tiny.png", random_pixels(19, 40, 3))
    save(source / "z.png", random_pixels())
    whole = (source / "a.png").read_bytes()
    (source / "cut.png").write_bytes(whole[: len(whole) // 2])
    (source / "empty.jpg").write_bytes(b"")
    (source / "page.jpg").write_text("<html>\nNot found</html>")
    save(source / "film.gif", random_pixels())
    (source / "film.gif").rename(source / "film.jpg")
    save(source / "z.jpg", random_pixels())
    bomb = bytearray(whole)
    bomb[16:24] = (30_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    (source / "bomb.png").write_bytes(bomb)

    assert run(source, output, Detector()) == 0
    skipped = skipped_of(output)
    expected = {
        "black.png": "no face found",
        "bomb.png": "decompression bomb",
        "cut.png": "cannot be read",
        "empty.jpg": "is none of JPEG, PNG, BMP, WEBP",
        "film.jpg": "is none of JPEG, PNG, BMP, WEBP",
        "page.jpg": "is none of JPEG, PNG, BMP, WEBP",
        "tiny.png": "too small, with 40 x 19 pixels",
        "z.png": "same name as z.jpg",
    }
    assert list(skipped) == list(expected)
    for name, reason in expected.items():
        assert reason in skipped[name]
    assert files_of(output) == ["a.png", SKIPPED, "z.png"]
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        f"skipped {name}: {reason}" for name, reason in skipped.items()
    ]
    assert "2 aligned, 0 kept from before, 8 skipped" in printed.out


def test_nothing_aligned(tmp_path, capsys):
    save(tmp_path / "photos/a.png", np.zeros((130, 120, 3), np.uint8))
    assert run(tmp_path / "photos", tmp_path / "aligned", Detector()) == 1
    assert skipped_of(tmp_path / "aligned") == {"a.png": "no face found"}
    assert "0 aligned, 0 kept" in capsys.readouterr().out


def test_killed_run_continues(tmp_path, capsys):
    source, output = tmp_path / "photos", tmp_path / "aligned"
    for i in range(5):
        save(source / f"{i}.png", random_pixels(seed=i))
    save(source / "3.png", np.zeros((130, 120, 3), np.uint8))
    assert run(source, output, Detector(stop_after=2)) == 130
    assert capsys.readouterr().err == (
        "align_faces.py: stopped. The same command continues a run.\n"
    )
    assert files_of(output) == ["0.png", "1.png"]
    (output / "0.png").write_bytes(b"kept as it is")

    detector = Detector()
    assert run(source, output, detector) == 0
    assert detector.calls == 3
    assert (output / "0.png").read_bytes() == b"kept as it is"
    np.testing.assert_array_equal(
        load(output / "4.png"), cropped(load(source / "4.png"))
    )
    assert "2 aligned, 2 kept from before, 1 skip" in capsys.readouterr().out
    # Again, only what was skipped is tried.
    detector = Detector()
    assert run(source, output, detector) == 0
    assert detector.calls == 1
    assert skipped_of(output) == {"3.png": "no face found"}


def test_kill_while_writing_leaves_no_half_image(tmp_path, monkeypatch):
    source, output = tmp_path / "photos", tmp_path / "aligned"
    save(source / "0.png", random_pixels())

    def write_half(self, path, **options):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "save", write_half)
        assert run(source, output, Detector()) == 130
    assert not (output / "0.png").exists()
    assert run(source, output, Detector()) == 0
    assert files_of(output) == ["0.png", SKIPPED]


@pytest.mark.parametrize(
    ("source", "output", "reason"),
    [
        ("missing", "aligned", "missing does not exist"),
        ("empty", "aligned", "empty holds no photographs"),
        ("photos", "photos/a.png", "photos/a.png must be a folder"),
        ("photos", "photos", "outside of the photographs' folder"),
        ("photos", "photos/aligned", "outside of the photographs' folder"),
        ("photos/a.png", "photos", "outside of the photographs' folder"),
        ("photos", "blocked", "a.png cannot be written"),
    ],
)
def test_unusable_input(tmp_path, capsys, source, output, reason):
    save(tmp_path / "photos/people/a.png", random_pixels())
    save(tmp_path / "photos/a.png", random_pixels())
    (tmp_path / "empty").mkdir()
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "people").write_text("not a folder")
    assert run(tmp_path / source, tmp_path / output, Detector()) == 2
    message = one_line(capsys)
    assert message.startswith("align_faces.py: ")
    assert reason in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "INPUT and OUTPUT are needed"),
        (["photos"], "INPUT and OUTPUT are needed"),
        (["--example", "out", "photos"], "--example has no INPUT"),
        (["a", "b", "--format=gif"], "invalid choice"),
        (
            ["a", "b", "--min_confidence=2"],
            "--min_confidence: must be a number from 0 to 1. Received: '2'",
        ),
    ],
)
def test_wrong_command_line(arguments, message, capsys):
    assert message in refused(align_faces.main, arguments, capsys)


def test_missing_packages(monkeypatch, capsys):
    for module in ("mtcnn", "skimage"):
        monkeypatch.setitem(sys.modules, module, None)
    assert align_faces.main(["photos", "aligned"]) == 2
    message = one_line(capsys)
    assert "mtcnn, " in message
    assert "scikit-image" in message
    assert 'pip install ".[faces]"' in message


def test_program_starts_by_itself():
    finished = subprocess.run(
        [sys.executable, align_faces.__file__, "--help"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    assert "--min_confidence" in finished.stdout
    assert "largest face" in finished.stdout


def test_example_with_a_given_face(tmp_path, capsys):
    eyes_nose_mouth = 1.1 * REFERENCE_POINTS + [176, 43]

    def detector(pixels):
        assert pixels.shape == (512, 512, 3)
        return [Face((180, 60, 265, 170), eyes_nose_mouth)]

    assert align_faces.main(["--example", str(tmp_path)], detector) == 0
    assert load(tmp_path / "astronaut.png").shape == (112, 96, 3)
    with Image.open(tmp_path / "aligned_astronaut.png") as picture:
        assert picture.width == 666
        assert np.asarray(picture.convert("L")).std() > 10
    assert "0.00 pixels from the reference" in capsys.readouterr().out
    assert align_faces.main(["--example", str(tmp_path)], lambda _: []) == 1
    stopped = Detector(stop_after=0)
    capsys.readouterr()
    assert align_faces.main(["--example", str(tmp_path)], stopped) == 130
    assert capsys.readouterr().err == "align_faces.py: stopped.\n"


def test_a_picture_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "aligned_astronaut.png").mkdir()
    face = Face(BOX, REFERENCE_POINTS)
    arguments = ["--example", str(tmp_path)]
    assert align_faces.main(arguments, lambda pixels: [face]) == 2
    message = one_line(capsys)
    assert "aligned_astronaut.png" in message
    assert message.endswith("Give another place, for example as OUTPUT.")


def run(source, output, detector, *options):
    return align_faces.main([str(source), str(output), *options], detector)


def skipped_of(output):
    return json.loads((output / SKIPPED).read_text())


def files_of(folder):
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    )

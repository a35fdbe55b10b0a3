"""The alignment of faces with MTCNN itself, where its package is there."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import align_faces

pytest.importorskip("skimage")

from alignment.folder_run import SKIPPED
from alignment.mtcnn_detector import MtcnnDetector
from common.dataset_types import DataError

NEEDS_MTCNN = pytest.mark.skipif(
    importlib.util.find_spec("mtcnn") is None
    or keras.backend.backend() != "tensorflow",
    reason="needs TensorFlow and the package mtcnn",
)


def test_another_backend_than_tensorflow(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(DataError, match="Set KERAS_BACKEND=tensorflow"):
        MtcnnDetector()


@NEEDS_MTCNN
def test_mtcnn_on_the_example(tmp_path):
    """As a user starts it, with another backend set."""
    finished = subprocess.run(
        [sys.executable, align_faces.__file__, "--example", tmp_path],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    printed = finished.stdout
    distance = float(printed.split("landmarks are ")[1].split()[0])
    # A broad smile: the corners of the mouth are far apart and high up.
    assert distance < 6.0
    assert load(tmp_path / "astronaut.png").shape == (112, 96, 3)


@NEEDS_MTCNN
def test_mtcnn_undoes_turning_scaling_and_moving(tmp_path):
    """One photograph in three poses gives one aligned image, about."""
    photo = astronaut()
    half = photo.resize((256, 256), Image.Resampling.LANCZOS)
    both = Image.new("RGB", (800, 520), "white")
    both.paste(photo, (0, 5))
    # Lower right, where the published rule would look.
    both.paste(half, (530, 250))
    poses = {
        "as_it_is": photo,
        "turned": photo.rotate(12, Image.Resampling.BICUBIC),
        "large": photo.resize((1300, 1300), Image.Resampling.BICUBIC),
        "two": both,
    }
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    (tmp_path / "photos").mkdir()
    for name, pose in poses.items():
        pose.save(tmp_path / "photos" / f"{name}.png")
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "photos/grey.jpg")
    Image.fromarray(noise).save(tmp_path / "photos/noise.bmp")
    photo.crop((300, 300, 320, 512)).save(tmp_path / "photos/narrow.png")
    output = tmp_path / "aligned"
    arguments = [str(tmp_path / "photos"), str(output)]
    assert align_faces.main(arguments) == 0
    assert json.loads((output / SKIPPED).read_text()) == dict.fromkeys(
        ["grey.jpg", "narrow.png", "noise.bmp"], "no face found"
    )
    aligned = {name: load(output / f"{name}.png") for name in poses}
    face = (slice(30, 105), slice(15, 80))
    first = aligned.pop("as_it_is")[face].astype(float)
    for pixels in aligned.values():
        same = np.corrcoef(first.ravel(), pixels[face].ravel())[0, 1]
        assert same > 0.95


@NEEDS_MTCNN
def test_landmarks_of_mtcnn_count_pixels_from_zero():
    """A mirrored photograph has mirrored landmarks, without a shift."""
    detector = MtcnnDetector()
    pixels = np.asarray(astronaut())
    expected = [[203, 101], [246, 103], [224, 127], [201, 139], [244, 141]]
    shifts = []
    for left in (60, 75, 90, 105):
        crop = pixels[5:300, left : left + 280]
        (face,) = detector(np.ascontiguousarray(crop))
        landmarks = face.landmarks + np.array([left, 5])
        np.testing.assert_allclose(landmarks, expected, atol=4)
        (face,) = detector(np.ascontiguousarray(crop[:, ::-1]))
        mirrored = left + 279 - face.landmarks[[1, 0, 2, 4, 3], 0]
        shifts.append((landmarks[:, 0] - mirrored).mean())
    assert abs(np.mean(shifts)) < 0.5


@NEEDS_MTCNN
def test_min_confidence(tmp_path):
    photo = tmp_path / "photo.png"
    astronaut().save(photo)
    arguments = [str(photo), str(tmp_path / "aligned")]
    assert align_faces.main([*arguments, "--min_confidence=1"]) == 1
    assert align_faces.main([*arguments, "--min_confidence=0.5"]) == 0


@NEEDS_MTCNN
def test_weights_in_the_working_folder_are_not_opened(tmp_path, monkeypatch):
    for name in ("pnet.lz4", "rnet.lz4", "onet.lz4"):
        (tmp_path / name).write_bytes(b"not weights")
    monkeypatch.chdir(tmp_path)
    assert len(MtcnnDetector()(np.asarray(astronaut()))) == 1


def astronaut():
    from skimage import data

    return Image.fromarray(data.astronaut())


def load(path):
    with Image.open(path) as image:
        return np.asarray(image)

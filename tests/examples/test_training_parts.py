"""Batches, network and recipes of the image program."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from classification.batches import TrainingBatches, random_crops
from classification.methods import Method
from classification.network import cnn9
from classification.plots import drawn_optima
from classification.recipes import (
    PUBLISHED,
    SHORT,
    PublishedCrossEntropy,
    learning_rate_schedule,
)
from common.angles import pairwise_angles
from common.batches import random_flips
from common.run_folder import claim, read_json


def _images(count: int = 20, side: int = 32) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, side, side, 3)).astype("uint8")


def _batches(augmentation: str = "crop_flip", seed: int = 0) -> TrainingBatches:
    return TrainingBatches(
        _images(),
        np.arange(20) % 4,
        num_classes=4,
        batch_size=6,
        augmentation=augmentation,
        seed=seed,
    )


def test_an_epoch_is_made_of_full_batches_of_distinct_images() -> None:
    batches = _batches("none")
    assert len(batches) == 3
    drawn = np.concatenate([batches[i][0] for i in range(3)])
    assert drawn.shape == (18, 32, 32, 3)
    assert len(np.unique(drawn.reshape(18, -1), axis=0)) == 18
    images, targets = batches[1]
    originals = _images().astype("float32")
    for image, target in zip(images, targets, strict=True):
        index = np.flatnonzero((originals == image).all(axis=(1, 2, 3)))[0]
        assert target.argmax() == index % 4
        assert target.sum() == 1.0


def test_batches_depend_on_seed_epoch_and_index_only() -> None:
    first, again = _batches(), _batches()
    again.begin_epoch(3)
    _ = [again[i] for i in range(3)]
    again.begin_epoch(0)
    np.testing.assert_array_equal(first[2][0], again[2][0])
    again.begin_epoch(1)
    assert not np.array_equal(first[2][0], again[2][0])
    assert not np.array_equal(first[2][0], _batches(seed=1)[2][0])


def test_crops_are_windows_of_the_mirrored_image() -> None:
    images = _images(50)
    crops = random_crops(images, 4, np.random.default_rng(1))
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="symmetric")
    places = []
    for crop, source in zip(crops, padded, strict=True):
        matches = [
            (row, column)
            for row in range(9)
            for column in range(9)
            if np.array_equal(
                crop, source[row : row + 32, column : column + 32]
            )
        ]
        assert len(matches) == 1
        places += matches
    rows, columns = zip(*places, strict=True)
    assert min(rows) == min(columns) == 0
    assert max(rows) == max(columns) == 8


def test_flips_mirror_about_half_of_the_images() -> None:
    images = _images(200, side=8)
    flipped = random_flips(images, np.random.default_rng(2))
    is_flipped = (flipped == images[:, :, ::-1]).all(axis=(1, 2, 3))
    is_same = (flipped == images).all(axis=(1, 2, 3))
    assert (is_flipped ^ is_same).all()
    assert 70 < is_flipped.sum() < 130


def test_published_network() -> None:
    model = cnn9(
        (32, 32, 3),
        100,
        method=Method("mhe", "2"),
        width=1.0,
        weight_decay=5e-4,
        batch_norm_momentum=0.999,
    )
    convolutions = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    assert [tuple(layer.kernel.shape) for layer in convolutions] == [
        (3, 3, 3, 64),
        (3, 3, 64, 64),
        (3, 3, 64, 64),
        (3, 3, 64, 128),
        (3, 3, 128, 128),
        (3, 3, 128, 128),
        (3, 3, 128, 256),
        (3, 3, 256, 256),
        (3, 3, 256, 256),
        (4, 4, 256, 256),
        (1, 1, 256, 100),
    ]
    assert not any(layer.use_bias for layer in convolutions)
    kernel = np.asarray(
        keras.ops.convert_to_numpy(convolutions[4].kernel)
    ).ravel()
    deviation = np.sqrt(2 / (9 * 128))
    assert kernel.std() == pytest.approx(deviation, rel=0.01)
    # Truncation at two standard deviations would leave nothing beyond 2.3.
    assert (np.abs(kernel) > 2.5 * deviation).mean() == pytest.approx(
        0.0124, rel=0.1
    )
    # Eleven kernels with energy and decay, nine norms with beta and gamma.
    assert len(model.losses) == 11 + 2 * 9


@pytest.mark.parametrize("side", [8, 28, 32])
def test_network_covers_any_image_size(side: int) -> None:
    model = cnn9(
        (side, side, 1),
        10,
        method=Method("baseline"),
        width=0.0625,
        weight_decay=0.0,
        batch_norm_momentum=0.9,
    )
    assert model.output_shape == (None, 10)


def test_weight_decay_is_half_the_squared_norm() -> None:
    model = cnn9(
        (8, 8, 1),
        10,
        method=Method("baseline"),
        width=0.0625,
        weight_decay=5e-4,
        batch_norm_momentum=0.9,
    )
    expected = sum(
        0.5 * 5e-4 * float(np.sum(np.square(weight)))
        for weight in map(keras.ops.convert_to_numpy, model.trainable_variables)
    )
    total = keras.ops.convert_to_numpy(sum(model.losses))
    assert float(total) == pytest.approx(expected, rel=1e-5)


def test_published_loss_against_numpy() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(5, 7)).astype("float32") * 10
    labels = np.eye(7, dtype="float32")[[0, 3, 6, 6, 1]]
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax = shifted / shifted.sum(axis=1, keepdims=True)
    target = 0.99 * labels + 0.01 / 7
    expected = -(target * np.log(softmax + 1e-4)).sum(axis=1).mean()
    loss = PublishedCrossEntropy()
    assert float(loss(labels, logits)) == pytest.approx(expected, rel=1e-5)
    assert loss.from_config(loss.get_config()).get_config() == loss.get_config()


def test_schedules() -> None:
    published = learning_rate_schedule(PUBLISHED, 0.1, 42_500)
    rates = [
        float(published(step))
        for step in (0, 19_999, 20_001, 30_001, 37_501, 42_499)
    ]
    np.testing.assert_allclose(
        rates, [0.1, 0.1, 0.01, 1e-3, 1e-4, 1e-4], rtol=1e-5
    )
    short = learning_rate_schedule(SHORT["digits"], 0.05, 1000)
    assert float(short(0)) <= 0.05 / 50 + 1e-9
    assert float(short(50)) == pytest.approx(0.05, rel=1e-4)
    assert float(short(525)) == pytest.approx(0.025, rel=1e-2)
    assert float(short(1000)) == pytest.approx(0.0, abs=1e-6)


def test_angles_and_optima() -> None:
    angles = pairwise_angles(np.array([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]))
    np.testing.assert_allclose(sorted(angles), [90, 90, 180], atol=1e-4)
    assert drawn_optima(3, 4, half_space=True) == {90.0}
    (simplex,) = drawn_optima(3, 4, half_space=False)
    assert simplex == pytest.approx(120.0)
    assert drawn_optima(9, 4, half_space=False) == set()
    # Six equiangular lines in three dimensions, the icosahedron's diagonals.
    low, high = sorted(drawn_optima(6, 3, half_space=True))
    assert low == pytest.approx(63.4349, abs=1e-3)
    assert high == pytest.approx(180 - 63.4349, abs=1e-3)


def test_several_processes_may_write_the_same_file(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "from common.run_folder import write_json\n"
        "for k in range(300):\n"
        f"    write_json(Path({str(tmp_path / 'all.json')!r}), [k] * 200)\n"
    )
    command = [sys.executable, "-c", program]
    processes = [subprocess.Popen(command) for _ in range(2)]
    seen = set()
    while any(process.poll() is None for process in processes):
        content = read_json(tmp_path / "all.json")
        assert content is None or len(content) == 200
        seen.add(content is None)
    assert [process.wait() for process in processes] == [0, 0]
    assert False in seen
    assert [path.name for path in tmp_path.iterdir()] == ["all.json"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "snapshots" / ".unfinished.1.model.keras"
    left.parent.mkdir()
    left.write_text("half")
    claim(tmp_path, {"seed": 1})
    assert not left.exists()

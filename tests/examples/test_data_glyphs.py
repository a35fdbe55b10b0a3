"""Glyphs: which characters, how they are drawn, and how they are kept."""

import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from common import glyph_rendering, glyphs
from common.dataset_types import DataError
from common.glyph_rendering import draw_sample, select_glyphs
from common.glyphs import NUM_TRAIN, load_glyphs
from common.identity_data import IdentityData


@pytest.fixture(scope="module")
def selected() -> dict[int, list[np.ndarray]]:
    return select_glyphs()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> IdentityData:
    """Drawn anew, not what earlier versions of the code have left."""
    return load_glyphs(cache_dir=tmp_path_factory.mktemp("glyphs"))


def test_every_glyph_has_ink_up_to_its_edges(
    selected: dict[int, list[np.ndarray]],
) -> None:
    for faces in selected.values():
        assert len(faces) >= glyph_rendering.MIN_FACES
        for glyph in faces:
            assert glyph.dtype == np.uint8
            for edge in (glyph[0], glyph[-1], glyph[:, 0], glyph[:, -1]):
                assert edge.any()


def test_no_character_is_there_under_two_names(
    selected: dict[int, list[np.ndarray]],
) -> None:
    """Neither the same pixels, nor the well-known look-alikes."""
    owners: dict[tuple[tuple[int, int], bytes], int] = {}
    for code, faces in selected.items():
        for glyph in faces:
            key = (glyph.shape, glyph.tobytes())
            assert owners.setdefault(key, code) == code
    latin, greek, cyrillic = 0x41, 0x391, 0x410
    assert latin in selected
    assert greek not in selected
    assert cyrillic not in selected
    # Not visible, and of no outline of its own.
    for code in (0x20, 0xA0, 0xAD, 0x200B, 0xE000, 0xFFFF):
        assert code not in selected
    assert len(selected) >= 1800


def test_faces_of_a_character_differ(
    selected: dict[int, list[np.ndarray]],
) -> None:
    for faces in selected.values():
        different = {(glyph.shape, glyph.tobytes()) for glyph in faces}
        assert len(different) == len(faces)


@pytest.mark.parametrize("width", [20, 60])
def test_samples_vary_within_the_image(width: int) -> None:
    glyph = np.full((60, width), 255, np.uint8)
    samples = np.stack(
        [draw_sample(glyph, np.random.default_rng(seed)) for seed in range(300)]
    ).astype("float64")
    assert samples.shape == (300, 32, 32)
    # Nothing is cut off.
    for edge in (
        samples[:, 0],
        samples[:, -1],
        samples[:, :, 0],
        samples[:, :, -1],
    ):
        assert not edge.any()
    # 21 pixels high, shrunk to 85 % at most in both directions.
    areas = samples.sum(axis=(1, 2)) / 255
    full = 21 * 21 * width / 60
    assert areas.min() > 0.85**2 * full * 0.95
    assert areas.max() < full * 1.05
    assert areas.max() / areas.min() > 1.3
    rows = (samples.sum(axis=2) * np.arange(0.5, 32)).sum(axis=1) / 255 / areas
    assert rows.min() == pytest.approx(14, abs=0.2)
    assert rows.max() == pytest.approx(18, abs=0.2)


def test_data_are_as_promised(data: IdentityData) -> None:
    assert len(data.identity_names) == NUM_TRAIN >= 1500
    assert data.x_train.shape[1:] == data.x_test.shape[1:] == (32, 32, 1)
    counts = np.bincount(data.y_train)
    assert len(counts) == NUM_TRAIN
    assert counts.min() >= 7
    used = np.unique([data.pairs.first, data.pairs.second])
    assert used.max() < len(data.x_test)
    assert data.pairs.is_same.sum() == len(data.pairs) / 2 == 3000
    # Every image shows something, and no two the same.
    flat = [x.reshape(len(x), -1) for x in (data.x_train, data.x_test)]
    images = np.concatenate(flat)
    assert images.max(axis=1).min() > 100
    assert max(Counter(map(bytes, images)).values()) == 1


def test_test_identities_are_never_trained_on(
    data: IdentityData, selected: dict[int, list[np.ndarray]]
) -> None:
    trained = {int(name[2:], 16) for name in data.identity_names}
    assert trained < set(selected)
    left = len(selected) - len(trained)
    assert left >= 300
    expected = sum(
        len(faces) for code, faces in selected.items() if code not in trained
    )
    assert len(data.x_test) == expected


def test_one_seed_gives_the_same_and_another_gives_others(
    data: IdentityData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(glyphs, "select_glyphs", _few)
    monkeypatch.setattr(glyphs, "NUM_TRAIN", 10)

    def load(seed: int, folder: str) -> IdentityData:
        return load_glyphs(num_pairs=40, seed=seed, cache_dir=tmp_path / folder)

    first, again, other = load(0, "a"), load(0, "b"), load(1, "c")
    np.testing.assert_array_equal(first.x_train, again.x_train)
    np.testing.assert_array_equal(first.pairs.first, again.pairs.first)
    assert first.identity_names == again.identity_names
    assert first.identity_names != other.identity_names
    common = set(first.identity_names) & set(other.identity_names)
    name = sorted(common)[0]
    images = [
        d.x_train[d.y_train == d.identity_names.index(name)]
        for d in (first, other)
    ]
    assert not np.array_equal(*images)


def test_drawings_are_kept_and_damaged_ones_drawn_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = []

    def select() -> dict[int, list[np.ndarray]]:
        calls.append(1)
        return _few()

    monkeypatch.setattr(glyphs, "select_glyphs", select)
    monkeypatch.setattr(glyphs, "NUM_TRAIN", 10)

    def load() -> IdentityData:
        return load_glyphs(num_pairs=40, cache_dir=tmp_path)

    first = load()
    assert len(calls) == 1
    np.testing.assert_array_equal(load().x_train, first.x_train)
    assert len(calls) == 1
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()

    def flipped(place: int) -> bytes:
        byte = bytes([content[place] ^ 16])
        return content[:place] + byte + content[place + 1 :]

    # Cut off, bits of the images flipped, and no such file at all.
    places = range(200, len(content) // 2, len(content) // 40)
    for damaged in (
        content[: len(content) // 2],
        *map(flipped, places),
        b"",
        b"not a zip file",
    ):
        file.write_bytes(damaged)
        np.testing.assert_array_equal(load().x_train, first.x_train)
        calls.pop()
        assert len(calls) == 1
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_folder_that_cannot_be_written_to_is_noticed_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(glyphs, "_draw", lambda seed: pytest.fail("drawn"))
    taken = tmp_path / "file"
    taken.touch()
    with pytest.raises(DataError, match=r"file cannot be .* Set KERAS_HOME"):
        load_glyphs(cache_dir=taken)


def _few() -> dict[int, list[np.ndarray]]:
    """Glyphs of 40 made-up characters in three faces."""
    generator = np.random.default_rng(0)
    return {
        code: [
            255 * generator.integers(0, 2, (4, 3)).repeat(10, 0).astype("uint8")
            for _ in range(3)
        ]
        for code in range(100, 140)
    }


@pytest.mark.parametrize("package", ["matplotlib", "PIL"])
def test_missing_packages_are_one_line(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=r"pip install") as caught:
        select_glyphs()
    assert os.linesep not in str(caught.value)

"""Glyphs, folders of identities and LFW's pairs."""

import os

import numpy as np
import pytest
from PIL import Image

from data import UserError
from identities import draw_pairs, load_glyphs, load_identities, read_pairs

pytestmark = pytest.mark.once


def write_people(root, people, images, start=0):
    """Writes `PERSON/PERSON_0001.png` and so on, each of one brightness."""
    for person in range(start, start + people):
        name = f"person{person}"
        (root / name).mkdir(parents=True)
        for number in range(1, images + 1):
            image = Image.new("RGB", (6, 7), (person, number, 0))
            image.save(root / name / f"{name}_{number:04}.png")
    return root


def test_glyphs():
    data = load_glyphs(num_pairs=200)
    assert data.num_identities == 1560
    assert data.x_train.shape[1:] == data.x_test.shape[1:] == (32, 32, 1)
    # Ink on an empty page, and no glyph that is cut off at the border.
    assert (data.x_train.max(axis=(1, 2, 3)) > 100).all()
    assert (data.x_train[:, 0].max(axis=(1, 2)) == 0).mean() > 0.99


def test_pairs_are_of_other_people_in_each_fold():
    labels = np.repeat(np.arange(30), np.arange(30) % 3 + 1)
    pairs = draw_pairs(labels, 200, seed=1)
    first, second = labels[pairs.first], labels[pairs.second]
    np.testing.assert_array_equal(first == second, pairs.is_same)
    assert (pairs.first != pairs.second).all()
    assert np.bincount(pairs.folds).tolist() == [20] * 10
    for fold in range(10):
        here = pairs.folds == fold
        people = {*first[here], *second[here]}
        assert people.isdisjoint([*first[~here], *second[~here]])


def test_identities_are_trained_on_or_verified(tmp_path):
    write_people(tmp_path, 26, 3)
    (tmp_path / "no images").mkdir()
    data = load_identities(tmp_path, num_pairs=40)
    assert data.num_identities == 6
    assert len(data.x_train) == len(data.y_train) == 18
    # Red is the person.
    person = data.x_test[:][:, 0, 0, 0]
    trained = {*data.x_train[:][:, 0, 0, 0].tolist()}
    assert trained ^ {*person.tolist()} == set(range(26))
    same = person[data.pairs.first] == person[data.pairs.second]
    np.testing.assert_array_equal(same, data.pairs.is_same)
    with pytest.raises(UserError, match="22 identities at least, received 0"):
        load_identities(tmp_path / "no images")
    path = tmp_path / "person7" / "person7_0002.png"
    for damage, message in (
        (Image.new("RGB", (6, 8)).save, r"person7_0002\.png must be an RGB"),
        (os.mkfifo, "no regular file"),
    ):
        path.unlink()
        damage(path)
        with pytest.raises(UserError, match=message):
            load_identities(tmp_path)


PAIRS = """2\t2
person30\t1\t2
person31\t1\t2
person30\t1\tperson31\t2
person31\t1\tperson30\t2
person32\t1\t2
person33\t2\t1
person32\t1\tperson33\t2
person33\t1\tperson32\t2
"""


def test_pairs_of_lfw(tmp_path):
    people, file = tmp_path / "lfw", tmp_path / "pairs.txt"
    write_people(people, 4, 2, start=30)
    file.write_text(PAIRS)
    images, pairs = read_pairs(file, people)
    first = images[pairs.first]
    red_and_green = [[30, 1], [31, 1], [30, 1], [31, 1]]
    assert first[:4, 0, 0, :2].tolist() == red_and_green
    assert pairs.is_same.tolist() == 2 * [True, True, False, False]
    assert pairs.folds.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    trained = write_people(tmp_path / "train", 22, 1)
    data = load_identities(trained, pairs_file=file, pairs_dir=people)
    assert data.num_identities == 22
    write_people(trained, 1, 1, start=30)
    with pytest.raises(UserError, match=r"not hold people of .* person30"):
        load_identities(trained, pairs_file=file, pairs_dir=people)
    (people / "person33" / "person33_0002.png").unlink()
    with pytest.raises(UserError, match="1 are missing, such as person33/"):
        read_pairs(file, people)
    for text in PAIRS[:-20], PAIRS.replace("33\t2\t1", "33\ttwo\t1"):
        file.write_text(text)
        with pytest.raises(UserError, match="is not like LFW's pairs"):
            read_pairs(file, people)

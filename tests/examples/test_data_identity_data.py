"""`draw_pairs`: pairs in folds, from the identities of images."""

import numpy as np
import pytest

from common.dataset_types import DataError
from common.identity_data import draw_pairs

# 40 identities of 1 to 9 images, mixed.
IDENTITIES = np.random.default_rng(0).permutation(
    np.repeat(np.arange(40) * 3, np.arange(40) % 9 + 1)
)


def as_tuples(pairs):
    return list(
        zip(
            pairs.first.tolist(),
            pairs.second.tolist(),
            pairs.is_same.tolist(),
            pairs.folds.tolist(),
            strict=True,
        )
    )


@pytest.fixture(scope="module")
def drawn():
    return draw_pairs(IDENTITIES, 100, folds=5, seed=3)


def test_shapes_and_types(drawn):
    assert len(drawn) == 100
    arrays = (drawn.first, drawn.second, drawn.is_same, drawn.folds)
    assert [array.shape for array in arrays] == [(100,)] * 4
    assert [array.dtype.name for array in arrays] == [
        "int64",
        "int64",
        "bool",
        "int64",
    ]


def test_is_same_tells_whether_the_identities_are_equal(drawn):
    same = IDENTITIES[drawn.first] == IDENTITIES[drawn.second]
    np.testing.assert_array_equal(drawn.is_same, same)


def test_half_of_each_fold_is_the_same_and_comes_first(drawn):
    assert drawn.folds.tolist() == np.repeat(np.arange(5), 20).tolist()
    for fold in range(5):
        is_same = drawn.is_same[drawn.folds == fold]
        assert is_same.tolist() == [True] * 10 + [False] * 10


def test_folds_have_no_common_identities(drawn):
    folds_of = {}
    for first, second, _, fold in as_tuples(drawn):
        for image in (first, second):
            folds_of.setdefault(IDENTITIES[image], set()).add(fold)
    assert len(folds_of) > 20
    assert {len(folds) for folds in folds_of.values()} == {1}


def test_images_of_a_pair_differ_and_no_pair_occurs_twice(drawn):
    unordered = {frozenset(pair[:2]) for pair in as_tuples(drawn)}
    assert len(unordered) == 100
    assert {len(pair) for pair in unordered} == {2}


def test_seed_decides(drawn):
    again = draw_pairs(IDENTITIES, 100, folds=5, seed=3)
    other = draw_pairs(IDENTITIES, 100, folds=5, seed=4)
    assert as_tuples(again) == as_tuples(drawn)
    assert as_tuples(other) != as_tuples(drawn)


def test_large_identities_count_no_more_than_small_ones():
    # One identity has 300 images and could give nearly all of the pairs.
    identities = np.repeat(np.arange(60), [300] + [8] * 59)
    pairs = draw_pairs(identities, 400, folds=1)
    same = pairs.first[pairs.is_same]
    assert np.mean(identities[same] == 0) < 0.1
    different = pairs.first[~pairs.is_same]
    assert np.mean(identities[different] == 0) < 0.1


def test_every_pair_there_is_can_be_asked_for():
    # Two identities of 4 and 3 images: 6 + 3 same pairs, 12 different ones.
    identities = np.array([7, 7, 7, 7, 2, 2, 2])
    pairs = draw_pairs(identities, 18, folds=1)
    same = {frozenset(pair[:2]) for pair in as_tuples(pairs) if pair[2]}
    assert len(same) == 9
    assert {0, 1} in same
    assert {4, 6} in same


def test_identity_of_one_image_is_in_no_same_pair():
    identities = np.array([0, 1, 1, 1, 2])
    pairs = draw_pairs(identities, 6, folds=1)
    assert set(identities[pairs.first[pairs.is_same]]) == {1}


@pytest.mark.parametrize(
    ("identities", "num_pairs", "folds", "kind"),
    [
        # 3 same pairs and 9 different ones.
        ([0, 0, 0, 1, 2, 3], 8, 1, "4 pairs of one each"),
        ([0, 1], 2, 1, "1 pairs of one each"),
        # 190 same pairs and 20 different ones.
        ([0] * 20 + [1], 42, 1, "21 pairs of two each"),
        # Each fold has one identity, so no pairs of two.
        ([0, 0, 1, 1], 4, 2, "1 pairs of two each"),
        # Some folds have none.
        ([0, 0, 1, 1, 1], 20, 10, "1 pairs of two each"),
    ],
)
def test_more_pairs_than_there_are(identities, num_pairs, folds, kind):
    with pytest.raises(DataError, match=f"^{kind} are too many") as error:
        draw_pairs(np.array(identities), num_pairs, folds=folds)
    assert len(str(error.value).splitlines()) == 1
    assert "Ask for fewer pairs or folds" in str(error.value)


@pytest.mark.parametrize("num_pairs", [-20, 0, 10, 30, 101])
def test_number_of_pairs_fills_the_folds(num_pairs):
    with pytest.raises(ValueError, match=r"multiple of 20.*num_pairs="):
        draw_pairs(IDENTITIES, num_pairs, folds=10)


@pytest.mark.parametrize("folds", [-1, 0])
def test_one_fold_at_least(folds):
    with pytest.raises(ValueError, match=r"`folds` must be >= 1.*folds="):
        draw_pairs(IDENTITIES, 100, folds=folds)

"""`image_data`: choosing a dataset by name, and balanced subsets."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import image_data
from common.dataset_types import existing_path
from common.image_data import (
    DATASETS,
    DataError,
    balanced_subset,
    load_image_data,
)

SEEDS = st.integers(0, 2**32)


@st.composite
def labels_and_size(draw):
    labels = draw(st.lists(st.integers(0, 6), min_size=1, max_size=80))
    return np.array(labels), draw(st.integers(1, len(labels)))


@settings(deadline=None)
@given(labels_and_size(), SEEDS)
def test_subset_is_valid_balanced_and_deterministic(case, seed):
    labels, size = case
    chosen = balanced_subset(labels, size, seed)

    assert chosen.shape == (size,)
    assert np.all(np.diff(chosen) > 0)
    assert chosen[0] >= 0
    assert chosen[-1] < len(labels)
    np.testing.assert_array_equal(chosen, balanced_subset(labels, size, seed))

    classes, available = np.unique(labels, return_counts=True)
    counts = np.array([np.sum(labels[chosen] == label) for label in classes])
    # A class may stay more than one behind only if it is used up.
    unfinished = counts < available
    assert np.all(counts[unfinished] >= counts.max() - 1)


@settings(deadline=None)
@given(labels_and_size(), SEEDS)
def test_smaller_subset_is_part_of_a_larger_one(case, seed):
    labels, size = case
    larger = balanced_subset(labels, len(labels), seed)
    assert set(balanced_subset(labels, size, seed)) <= set(larger)
    half = balanced_subset(labels, (size + 1) // 2, seed)
    assert set(half) <= set(balanced_subset(labels, size, seed))


def test_divisible_size_gives_equal_counts():
    labels = np.repeat(np.arange(10), 50)
    counts = np.bincount(labels[balanced_subset(labels, 200, seed=3)])
    np.testing.assert_array_equal(counts, np.full(10, 20))


def test_indivisible_size_differs_by_one_at_most():
    labels = np.repeat(np.arange(10), 50)
    counts = np.bincount(labels[balanced_subset(labels, 207, seed=3)])
    assert sorted(counts) == [20] * 3 + [21] * 7


def test_remainder_does_not_always_go_to_the_same_classes():
    labels = np.repeat(np.arange(10), 5)
    firsts = {labels[balanced_subset(labels, 1, seed)][0] for seed in range(40)}
    assert len(firsts) > 5


def test_full_size_takes_everything():
    labels = np.array([0, 0, 0, 0, 1])
    np.testing.assert_array_equal(balanced_subset(labels, 5, 0), np.arange(5))


def test_seed_changes_the_subset():
    labels = np.repeat(np.arange(10), 50)
    first = balanced_subset(labels, 100, seed=0)
    assert not np.array_equal(first, balanced_subset(labels, 100, seed=1))


@pytest.mark.parametrize("size", [-1, 0, 6])
def test_impossible_size_is_refused(size):
    with pytest.raises(
        ValueError, match=rf"`size` must be from 1 to 5.*size={size}\."
    ):
        balanced_subset(np.arange(5), size, seed=0)


def test_labels_must_be_a_vector():
    with pytest.raises(ValueError, match=r"labels\.shape=\(5, 1\)"):
        balanced_subset(np.zeros((5, 1), int), 2, seed=0)


def test_unknown_name_lists_the_datasets():
    with pytest.raises(ValueError, match=r"digits.*cifar100.*name='mnist'"):
        load_image_data("mnist")


@pytest.mark.parametrize("name", DATASETS[1:])
def test_name_selects_the_loader_and_passes_data_dir(
    name, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        image_data, f"load_{name}", lambda data_dir: (name, data_dir)
    )
    assert load_image_data(name, tmp_path) == (name, tmp_path)


@pytest.mark.parametrize("name", DATASETS[1:])
def test_empty_data_dir_is_an_error_and_not_a_download(name, tmp_path):
    with pytest.raises(DataError) as error:
        load_image_data(name, tmp_path)
    assert len(str(error.value).splitlines()) == 1
    assert str(tmp_path) in str(error.value)
    assert "--data_dir" in str(error.value)


@pytest.mark.parametrize("name", DATASETS[1:])
def test_absent_data_dir_is_an_error(name, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load_image_data(name, tmp_path / "absent")


def test_dataset_cannot_be_reassigned():
    dataset = load_image_data("digits")
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "other"


def test_existing_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert existing_path("~") == tmp_path
    with pytest.raises(
        DataError, match=r"^--data_dir .*absent does not exist\. C"
    ):
        existing_path(tmp_path / "absent")

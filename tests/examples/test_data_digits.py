"""`digits`: the split of scikit-learn's digits."""

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits as load_bunch

from common.dataset_types import DataError
from common.digits import load_digits


@pytest.fixture(scope="module")
def digits():
    return load_digits()


def test_shapes_and_dtypes(digits):
    assert digits.x_train.shape == (1437, 8, 8, 1)
    assert digits.x_test.shape == (360, 8, 8, 1)
    assert digits.y_train.shape == (1437,)
    assert digits.y_test.shape == (360,)
    assert digits.x_train.dtype == digits.x_test.dtype == np.uint8
    assert digits.y_train.dtype == digits.y_test.dtype == np.int64
    assert digits.class_names == tuple("0123456789")


def test_intensities_use_the_whole_byte(digits):
    assert digits.x_train.min() == 0
    assert digits.x_train.max() == 255
    assert len(np.unique(digits.x_train)) == 17


def test_split_is_a_partition_of_the_original(digits):
    bunch = load_bunch()
    scaled = np.rint(bunch.images * 255 / 16).astype(np.uint8)

    def rows(images, labels):
        flat = images.reshape(len(images), -1)
        table = np.column_stack([flat, labels])
        return sorted(map(tuple, table.tolist()))

    images = np.concatenate([digits.x_train, digits.x_test])
    labels = np.concatenate([digits.y_train, digits.y_test])
    assert rows(images, labels) == rows(scaled, bunch.target)


def test_split_keeps_the_share_of_each_class(digits):
    train = np.bincount(digits.y_train)
    test = np.bincount(digits.y_test)
    np.testing.assert_allclose(test, (train + test) * 360 / 1797, atol=1)


def test_split_never_changes(digits):
    again = load_digits()
    np.testing.assert_array_equal(digits.x_test, again.x_test)
    # Across releases of scikit-learn too: recorded numbers depend on it.
    assert digits.y_test[:10].tolist() == [7, 6, 3, 7, 7, 3, 2, 8, 9, 3]


def test_missing_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(DataError) as error:
        load_digits()
    assert 'pip install ".[examples]"' in str(error.value)
    assert len(str(error.value).splitlines()) == 1

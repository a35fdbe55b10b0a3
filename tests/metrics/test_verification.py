"""Verification against slow loops, scikit-learn and constructed pairs."""

import builtins
import math

import numpy as np
import pytest
from keras import ops
from sklearn import metrics as sklearn_metrics

from keras_mhe.metrics import verify_pairs

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
PAIRS, DIM = 240, 6


def random_pairs(noise=1.0, offset=0.0):
    """Half of them of the same class, mixed."""
    first = RNG.normal(size=(PAIRS, DIM))
    is_same = RNG.permutation(np.arange(PAIRS) % 2 == 0)
    second = RNG.normal(size=(PAIRS, DIM))
    second[is_same] = first[is_same] + noise * second[is_same]
    return first + offset, second + offset, is_same


def cosine(u, v):
    return u @ v / math.sqrt((u @ u) * (v @ v))


def published(first, second, is_same, fold_of_pair, center):
    """`evaluation.m`, line by line, without its loop over thresholds."""
    accuracies = []
    for fold in range(fold_of_pair.max() + 1):
        test, rest = fold_of_pair == fold, fold_of_pair != fold
        mean = np.concatenate([first[rest], second[rest]]).mean(axis=0)
        mean = mean if center else np.zeros(DIM)
        scores = np.array(
            [
                cosine(u - mean, v - mean)
                for u, v in zip(first, second, strict=True)
            ]
        )
        thresholds = np.arange(-10_000, 10_001) / 10_000

        def right(pairs, threshold, scores=scores):
            above = (scores[pairs] > threshold) & is_same[pairs]
            below = (scores[pairs] < threshold) & ~is_same[pairs]
            return (above | below).mean()

        found = np.array([right(rest, value) for value in thresholds])
        threshold = thresholds[found == found.max()].mean()
        accuracies.append(right(test, threshold))
    return np.array(accuracies)


@pytest.mark.parametrize("center", [False, True])
def test_published_protocol(center):
    first, second, is_same = random_pairs(offset=0.5)
    fold_of_pair = np.arange(PAIRS) * 4 // PAIRS
    result = verify_pairs(
        first, second, is_same, folds=fold_of_pair, center=center
    )
    expected = published(first, second, is_same, fold_of_pair, center)
    # Thresholds differ by the steps of the published grid.
    np.testing.assert_allclose(
        result.accuracy_of_folds, expected, atol=1.01 / 60
    )
    assert result.accuracy == result.accuracy_of_folds.mean()
    assert result.accuracy > 0.7


def test_curve_and_area():
    first, second, is_same = random_pairs()
    result = verify_pairs(first, second, is_same)
    scores = [cosine(u, v) for u, v in zip(first, second, strict=True)]
    np.testing.assert_allclose(result.scores, scores, atol=1e-12)
    area = sklearn_metrics.roc_auc_score(is_same, scores)
    assert abs(result.auc - area) < 1e-12
    for rate, expected in result.tpr_at_fpr.items():
        best = 0.0
        for threshold in [*scores, 2.0]:
            taken = np.array(scores) >= threshold
            if taken[~is_same].mean() <= rate:
                best = max(best, taken[is_same].mean())
        assert expected == best


def test_equal_error_rate():
    first, second, is_same = random_pairs()
    result = verify_pairs(first, second, is_same)
    errors = [
        max(
            (result.scores[~is_same] >= threshold).mean(),
            (result.scores[is_same] < threshold).mean(),
        )
        for threshold in result.scores
    ]
    assert result.eer <= min(errors) + 1e-12
    assert abs(result.eer - min(errors)) < 1.5 / (PAIRS / 2)


def test_results_can_be_compared_and_kept_in_a_set():
    one, other = np.eye(4), np.eye(4)[[0, 1, 3, 2]]
    results = [
        verify_pairs(one, other, [1, 1, 0, 0], folds=2) for _ in range(2)
    ]
    assert results[0] != results[1]  # Each is itself only.
    assert len(set(results)) == 2


def test_perfect_and_hopeless():
    one = np.tile([[1.0, 0.0]], (40, 1))
    is_same = np.arange(40) % 2 == 0
    other = np.where(is_same[:, None], [[2.0, 0.1]], [[0.1, 2.0]])
    perfect = verify_pairs(one, other, is_same)
    assert (perfect.accuracy, perfect.auc, perfect.eer) == (1.0, 1.0, 0.0)
    assert perfect.tpr_at_fpr == {0.01: 1.0, 0.001: 1.0}
    wrong = verify_pairs(one, other, ~is_same)
    assert (wrong.auc, wrong.eer) == (0.0, 1.0)
    assert wrong.accuracy <= 0.5
    equal = verify_pairs(one, one, is_same)
    assert (equal.auc, equal.eer, equal.accuracy) == (0.5, 0.5, 0.5)


def test_folds_have_equal_shares_and_keep_the_order():
    first, second, _ = random_pairs()
    is_same = np.arange(PAIRS) < 120  # All same pairs first.
    second[is_same] = first[is_same]
    result = verify_pairs(first, second, is_same, folds=10)
    assert len(result.accuracy_of_folds) == 10
    assert result.accuracy > 0.95


def test_zero_embeddings_are_orthogonal():
    first, second, is_same = random_pairs()
    first[3] = 0.0
    assert verify_pairs(first, second, is_same).scores[3] == 0.0


def test_tensors_and_integers():
    first, second, is_same = random_pairs()
    first, second = first.astype("float32"), second.astype("float32")
    expected = verify_pairs(first, second, is_same)
    actual = verify_pairs(
        ops.convert_to_tensor(first),
        ops.convert_to_tensor(second),
        is_same.astype(int).tolist(),
    )
    np.testing.assert_array_equal(actual.scores, expected.scores)
    assert actual.accuracy == expected.accuracy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"second": np.ones((PAIRS, 2))}, "must have the shapes"),
        ({"is_same": np.ones(3)}, "must have the shapes"),
        ({"first": np.ones(PAIRS)}, "`first` must be finite numbers of shape"),
        ({"first": np.full((PAIRS, DIM), np.nan)}, "1440 of them not finite"),
        ({"is_same": np.full(PAIRS, 2)}, "`is_same` must be .* Received: 2"),
        ({"folds": 1}, r"`folds` must be an integer in \[2, "),
        ({"folds": 130}, "folds=130, 120 same pairs"),
        ({"folds": np.zeros(PAIRS)}, "1 different"),
        ({"folds": np.arange(3)}, r"shape=\(3,\)"),
        ({"false_positive_rates": [2.0]}, "`false_positive_rates` must be"),
    ],
)
def test_errors(change, message):
    names = ("first", "second", "is_same")
    arguments = dict(zip(names, random_pairs(), strict=True)) | change
    with pytest.raises(ValueError, match=message):
        verify_pairs(**arguments)


def test_a_threshold_needs_both_kinds():
    first, second, _ = random_pairs()
    is_same = np.arange(PAIRS) < 120
    with pytest.raises(ValueError, match="same and different pairs"):
        verify_pairs(first, second, is_same, folds=is_same.astype(int))


def test_scikit_learn_is_named(monkeypatch):
    find = builtins.__import__

    def without(name, *args):
        if name.startswith("sklearn"):
            raise ImportError
        return find(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        verify_pairs(*random_pairs())

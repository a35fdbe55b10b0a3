"""Open-set verification: do two embeddings show the same class?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from keras import ops

from keras_mhe._typing import Tensor
from keras_mhe._validation import check_integer, check_real

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)  # Arrays have no single truth.
class Verification:
    """How well cosines of embeddings tell same pairs from different ones.

    Made by `verify_pairs`. All rates are in [0, 1].

    Attributes:
        accuracy: Mean accuracy of the folds, each with the threshold that is
            best on all other folds.
        accuracy_of_folds: The accuracies, shape `(folds,)`.
        thresholds: Their thresholds, cosines, shape `(folds,)`.
        auc: Area under the ROC curve.
        eer: Equal error rate: where as many different pairs are taken for
            same as same for different, interpolated between two points.
        tpr_at_fpr: For each asked false positive rate the highest true
            positive rate of a threshold whose rate is no higher.
        false_positive_rates: The ROC curve, rising.
        true_positive_rates: The ROC curve, rising.
        scores: The cosines of the pairs, shape `(pairs,)`.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.metrics import verify_pairs
        >>> one, other = np.eye(4), np.eye(4)[[0, 1, 3, 2]]
        >>> verify_pairs(one, other, [1, 1, 0, 0], folds=2).accuracy
        1.0
    """

    accuracy: float
    accuracy_of_folds: Array
    thresholds: Array
    auc: float
    eer: float
    tpr_at_fpr: dict[float, float]
    false_positive_rates: Array
    true_positive_rates: Array
    scores: Array


def verify_pairs(
    first: Tensor,
    second: Tensor,
    is_same: Sequence[bool],
    *,
    folds: int | Sequence[int] = 10,
    center: bool = False,
    false_positive_rates: Sequence[float] = (1e-2, 1e-3),
) -> Verification:
    """Verifies pairs of embeddings by their cosines, in folds as on LFW.

    Needs scikit-learn, which `pip install "keras-mhe[metrics]"` brings.

    Args:
        first: Float array or tensor, shape `(pairs, dim)`. For the published
            protocol the features of an image and of its mirror image, side
            by side.
        second: The other embedding of each pair, same shape.
        is_same: Bools or 0 and 1, shape `(pairs,)`: whether the two
            embeddings are of the same class.
        folds: Int >= 2, the number of folds, into which the pairs are
            divided in their order and with equal shares of same pairs; or
            integers, shape `(pairs,)`, the fold of each pair, as LFW's list
            gives them. Defaults to `10`.
        center: Bool. Whether to subtract, before the cosine of a pair, the
            mean embedding of all other folds, as the published evaluation
            does. Defaults to `False`.
        false_positive_rates: Real numbers in [0, 1], of which the true
            positive rate is asked. A rate below one over the number of
            different pairs allows no error at all. Defaults to
            `(0.01, 0.001)`.

    Returns:
        A `Verification`.

    Raises:
        ValueError: If shapes differ, an embedding is not finite, or there
            are no same or no different pairs in what a threshold is
            chosen on.
        ImportError: If scikit-learn is not installed.

    Numerics:
        An embedding of zeros has the cosine 0 with everything. A threshold
        lies in the middle between two scores; if several are best, their
        mean. A score equal to a threshold counts as different. The published
        program takes the mean of the best of 20,001 thresholds from -1 to 1.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.metrics import verify_pairs
        >>> one = np.array([[1, 0], [1, 0], [1, 0], [1, 0]])
        >>> other = np.array([[2, 1], [2, 1], [1, 2], [1, 2]])
        >>> result = verify_pairs(one, other, [1, 1, 0, 0], folds=2)
        >>> result.accuracy, result.auc, result.eer
        (1.0, 1.0, 0.0)

    References:
        Huang et al., "Labeled Faces in the Wild", 2007: 10 folds. Liu et
        al.'s `evaluation.m` of SphereFace+: cosine, centering.
    """
    metrics = _scikit_learn()
    first, second = _embeddings("first", first), _embeddings("second", second)
    same = np.asarray(is_same)
    if not np.isin(same, (0, 1)).all():
        raise ValueError(
            "`is_same` must be True or False, or 1 or 0. Received: "
            f"{same[~np.isin(same, (0, 1))][0]}."
        )
    same = same.astype(bool)
    if first.shape != second.shape or same.shape != first.shape[:1]:
        raise ValueError(
            "`first`, `second` and `is_same` must have the shapes "
            "(pairs, dim), (pairs, dim) and (pairs,). Received: "
            f"{first.shape}, {second.shape} and {same.shape}."
        )
    fold_of_pair = _fold_of_pair(folds, same)
    scores = np.empty(len(same))
    accuracies, thresholds = [], []
    for fold in np.unique(fold_of_pair):
        here = fold_of_pair == fold
        if same[~here].all() or not same[~here].any():
            raise ValueError(
                "There must be same and different pairs in the folds that a "
                f"threshold is chosen on. Received: none of one kind, fold "
                f"{fold} left out."
            )
        mean = 0.0
        if center:
            mean = np.concatenate([first[~here], second[~here]]).mean(axis=0)
        all_scores = _cosines(first - mean, second - mean)
        threshold = _best_threshold(all_scores[~here], same[~here])
        scores[here] = all_scores[here]
        thresholds.append(threshold)
        accuracies.append(np.mean((all_scores[here] > threshold) == same[here]))
    rates = metrics.roc_curve(same, scores, drop_intermediate=False)
    false_positives, true_positives, _ = rates
    return Verification(
        accuracy=float(np.mean(accuracies)),
        accuracy_of_folds=np.array(accuracies),
        thresholds=np.array(thresholds),
        auc=float(metrics.auc(false_positives, true_positives)),
        eer=_equal_error_rate(false_positives, true_positives),
        tpr_at_fpr={
            rate: float(true_positives[false_positives <= rate].max())
            for rate in (
                check_real("false_positive_rates", rate, at_least=0, at_most=1)
                for rate in false_positive_rates
            )
        },
        false_positive_rates=false_positives,
        true_positive_rates=true_positives,
        scores=scores,
    )


def _scikit_learn() -> Any:
    try:
        from sklearn import metrics
    except ImportError:
        raise ImportError(
            "`verify_pairs` needs scikit-learn: "
            'pip install "keras-mhe[metrics]", or pip install scikit-learn.'
        ) from None
    return metrics


def _embeddings(name: str, embeddings: Tensor) -> Array:
    """Returns float64 embeddings; raises for what is not finite."""
    if ops.is_tensor(embeddings):
        embeddings = ops.convert_to_numpy(embeddings)
    embeddings = np.asarray(embeddings, "float64")
    if embeddings.ndim != 2 or not np.isfinite(embeddings).all():
        raise ValueError(
            f"`{name}` must be finite numbers of shape (pairs, dim). "
            f"Received: shape={embeddings.shape}, "
            f"{np.sum(~np.isfinite(embeddings))} of them not finite."
        )
    return cast(Array, embeddings)


def _fold_of_pair(folds: int | Sequence[int], is_same: Array) -> Array:
    """Returns the number of the fold of each pair."""
    if np.ndim(folds) == 1:
        given = np.asarray(folds)
        if given.shape != is_same.shape or len(np.unique(given)) < 2:
            raise ValueError(
                "`folds` must name one of two or more folds for each of the "
                f"{len(is_same)} pairs. Received: shape={given.shape}, "
                f"{len(np.unique(given))} different."
            )
        return given
    count = check_integer("folds", folds, at_least=2, at_most=10**6)
    result = np.empty(len(is_same), "int64")
    for kind in (True, False):
        pairs = np.flatnonzero(is_same == kind)
        if len(pairs) < count:
            raise ValueError(
                f"`folds` must be at most the number of same and of different "
                f"pairs. Received: folds={count}, {len(pairs)} "
                f"{'same' if kind else 'different'} pairs."
            )
        result[pairs] = np.arange(len(pairs)) * count // len(pairs)
    return result


def _cosines(first: Array, second: Array) -> Array:
    """Returns the cosine of each pair, 0 if one is zero."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = np.sum(first * second, axis=1)
    safe = np.where(lengths > 0.0, lengths, 1.0)
    return np.where(lengths > 0.0, products / safe, 0.0)


def _best_threshold(scores: Array, is_same: Array) -> float:
    """Returns the threshold of highest accuracy on these pairs."""
    values, place = np.unique(scores, return_inverse=True)
    same = np.bincount(place, weights=is_same, minlength=len(values))
    different = np.bincount(place, weights=~is_same, minlength=len(values))
    # Below all scores, between two of them, above all.
    right = same.sum() + np.cumsum(different - same)
    right = np.concatenate([[same.sum()], right])
    middles = (values[1:] + values[:-1]) / 2.0
    candidates = np.concatenate([[-1.0], middles, [1.0]])
    return float(candidates[right == right.max()].mean())


def _equal_error_rate(false_positives: Array, true_positives: Array) -> float:
    """Returns where the ROC curve meets the line of equal errors."""
    excess = false_positives - (1.0 - true_positives)  # Rises from -1 to 1.
    after = int(np.argmax(excess >= 0.0))
    if after == 0 or excess[after] == 0.0:
        return float(false_positives[after])
    share = -excess[after - 1] / (excess[after] - excess[after - 1])
    step = false_positives[after] - false_positives[after - 1]
    return float(false_positives[after - 1] + share * step)

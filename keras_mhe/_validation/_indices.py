"""Checks of indices of neurons, and of labels."""

from collections.abc import Sequence
from typing import Any

#: Up to where a dtype holds every whole number.
_LARGEST_WHOLE = {"bfloat16": 2**8, "float16": 2**11, "float32": 2**24}


def others_have_anchors(anchors: Any, groups: int) -> None:
    """Raises if drawn `others` have no anchors to meet, or groups."""
    if anchors is None or groups != 1:
        raise ValueError(
            "`others` need `anchors` and `groups=1`. Received: "
            f"anchors={'None' if anchors is None else 'given'}, "
            f"groups={groups}."
        )


def indices_are_integers(
    name: str, shape: Sequence[Any], dtype: str, is_traced: bool
) -> None:
    """Raises unless indices have a shape `(m,)`, `m >= 1`, and are ints.

    Some trainers hand integers over as floats inside of compiled functions.
    """
    is_vector = len(shape) == 1 and shape[0] != 0
    may_be_indices = "int" in dtype or (is_traced and "float" in dtype)
    if not is_vector or not may_be_indices:
        raise ValueError(
            f"`{name}` must be a non-empty vector of integers, shape (m,). "
            f"Received: shape={tuple(shape)}, dtype={dtype}."
        )


def indices_in_range(name: str, indices: Any, size: Any) -> None:
    """Raises unless the known `indices` are in [0, size), if that is known."""
    if not isinstance(size, int):
        return
    wrong = indices[(indices < 0) | (indices >= size)]
    if wrong.size:
        raise ValueError(
            f"`{name}` must be in [0, {size - 1}], the indices of the "
            f"neurons. Received: {wrong[0]}."
        )


def features_or_pair(inputs: Any) -> None:
    """Raises for a dictionary."""
    if isinstance(inputs, dict):
        raise ValueError(
            "A head is called as `head(features)`, `head(features, labels)` "
            "or `head((features, labels))`. Received: a dictionary with the "
            f"keys {list(inputs)}."
        )


def labels_can_be_classes(shape: Sequence[Any], dtype: str, units: int) -> None:
    """Raises for a shape or a dtype that cannot be that of labels."""
    is_vector = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if not is_vector or not ("int" in dtype or "float" in dtype):
        raise ValueError(
            "`labels` must be integers of shape (batch,) or (batch, 1); for "
            'an input layer, `keras.Input((), dtype="int32")`. '
            f"Received: shape={tuple(shape)}, dtype={dtype}."
        )
    if units - 1 > _LARGEST_WHOLE.get(dtype, units):
        raise ValueError(
            f"`labels` of a head with {units} classes must be integers; for "
            'an input layer, `keras.Input((), dtype="int32")`. Received: '
            f"dtype={dtype}, exact up to {_LARGEST_WHOLE[dtype]}."
        )


def one_label_in_a_row(labels: Sequence[Any], logits: Sequence[Any]) -> None:
    """Raises unless `y_true` has a label for each row of `y_pred`."""
    if len(labels) != 1 and (len(labels) != 2 or labels[1] != 1):
        raise ValueError(
            "`y_true` must be integer labels of shape (batch,) or (batch, 1). "
            f"Received: y_true.shape={tuple(labels)}."
        )
    if len(logits) != 2:
        raise ValueError(
            "`y_pred` must be logits of shape (batch, classes). Received: "
            f"y_pred.shape={tuple(logits)}."
        )


def features_of_batch(shape: Sequence[Any]) -> None:
    """Raises unless a metric's `y_pred` has a batch of features."""
    if len(shape) < 2:
        raise ValueError(
            "`y_pred` must be features of shape (batch, dim), or with more "
            f"axes between them. Received: y_pred.shape={tuple(shape)}."
        )


def one_label_for_each(features: Any, labels: Any) -> None:
    """Raises if two known batch sizes differ."""
    known = isinstance(features, int) and isinstance(labels, int)
    if known and features != labels:
        raise ValueError(
            "There must be one label for each feature. Received: "
            f"{features} features, {labels} labels."
        )


def labels_in_range(labels: Any, units: int) -> None:
    """Raises unless the known labels are whole numbers in [0, units)."""
    is_class = (labels >= 0) & (labels < units) & (labels == labels // 1)
    if not is_class.all():
        raise ValueError(
            f"`labels` must be in [0, {units - 1}], the classes of the head. "
            f"Received: {labels[~is_class].flat[0]}."
        )

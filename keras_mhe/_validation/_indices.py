"""Checks of indices of neurons, and of labels."""

from collections.abc import Sequence
from typing import Any


def others_have_anchors(anchors: Any, groups: int) -> None:
    """Raises if drawn `others` have no anchors to meet, or groups."""
    if anchors is None or groups != 1:
        raise ValueError(
            "`others` need `anchors` and `groups=1`. Received: "
            f"anchors={'None' if anchors is None else 'given'}, "
            f"groups={groups}."
        )


def _may_be_indices(dtype: str, is_traced: bool) -> bool:
    """Whether a dtype is that of indices.

    Some trainers hand integers over as floats inside of compiled functions.
    """
    return "int" in dtype or (is_traced and "float" in dtype)


def indices_are_integers(
    name: str, shape: Sequence[Any], dtype: str, is_traced: bool
) -> None:
    """Raises unless indices have a shape `(m,)`, `m >= 1`, and are ints."""
    is_vector = len(shape) == 1 and shape[0] != 0
    if not is_vector or not _may_be_indices(dtype, is_traced):
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


def labels_are_integers(
    shape: Sequence[Any], dtype: str, is_traced: bool
) -> None:
    """Raises unless labels have shape `(batch,)` or `(batch, 1)` and ints."""
    is_vector = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if not is_vector or not _may_be_indices(dtype, is_traced):
        raise ValueError(
            "`labels` must be integers of shape (batch,) or (batch, 1); for "
            'an input layer, `keras.Input((), dtype="int32")`. '
            f"Received: shape={tuple(shape)}, dtype={dtype}."
        )


def one_label_in_a_row(shape: Sequence[Any]) -> None:
    """Raises unless `y_true` has the shape `(batch,)` or `(batch, 1)`."""
    if len(shape) != 1 and (len(shape) != 2 or shape[1] != 1):
        raise ValueError(
            "`y_true` must be integer labels of shape (batch,) or (batch, 1). "
            f"Received: y_true.shape={tuple(shape)}."
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
    """Raises unless the known labels are in [0, units)."""
    wrong = labels[(labels < 0) | (labels >= units)]
    if wrong.size:
        raise ValueError(
            f"`labels` must be in [0, {units - 1}], the classes of the head. "
            f"Received: {wrong.flat[0]}."
        )

"""What a head is called on: features, alone or with labels."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mhe import _backend
from keras_mhe._typing import KerasObject, Tensor

#: Up to where a dtype holds every whole number.
_LARGEST_WHOLE = {"bfloat16": 2**8, "float16": 2**11, "float32": 2**24}


def features_shape(input_shape: Any) -> tuple[Any, ...]:
    """Returns the shape of the features, alone or in a pair with labels."""
    _check_no_dictionary(input_shape)
    has_labels = isinstance(next(iter(input_shape), None), list | tuple)
    shape = tuple(input_shape[0] if has_labels else input_shape)
    if len(shape) != 2 or shape[-1] is None:
        raise ValueError(
            "The features of a head must have the shape (batch, dim) with a "
            f"known dim. Received: shape={shape}. Reshape sequences to "
            "(batch * time, dim), their labels to (batch * time,)."
        )
    return shape


def features_and_labels(inputs: Any, labels: Any) -> tuple[KerasObject, Any]:
    """Splits the arguments of `call`."""
    _check_no_dictionary(inputs)
    if not isinstance(inputs, list | tuple):
        return inputs, labels
    if len(inputs) != 2:
        raise ValueError(
            "A head is called on features, or on the pair (features, "
            f"labels). Received: {len(inputs)} inputs."
        )
    if labels is not None:
        raise ValueError(
            "A head takes labels once. Received: labels in the pair "
            "(features, labels) and as `labels`."
        )
    return inputs[0], inputs[1]


def checked_labels(labels: Tensor, units: int) -> Tensor:
    """Returns integer labels of shape `(batch,)`; raises for bad ones."""
    labels = ops.convert_to_tensor(labels)
    dtype = keras.backend.standardize_dtype(labels.dtype)
    check_can_be_labels(labels.shape, dtype, units)
    if "float16" in dtype:  # No array of NumPy holds bfloat16.
        labels = ops.cast(labels, "float32")
    known = _backend.known_values(labels)
    if known is not None:
        is_class = (known >= 0) & (known < units) & (known == known // 1)
        if not is_class.all():
            raise ValueError(
                f"`labels` must be in [0, {units - 1}], the classes of the "
                f"head. Received: {known[~is_class].flat[0]}."
            )
    return ops.reshape(ops.cast(labels, _backend.INDEX_DTYPE), (-1,))


def check_can_be_labels(shape: Sequence[Any], dtype: str, units: int) -> None:
    """Raises for a shape or a dtype that labels cannot have."""
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


def check_one_label_each(features: Any, labels: Any) -> None:
    """Raises if two known batch sizes differ."""
    known = isinstance(features, int) and isinstance(labels, int)
    if known and features != labels:
        raise ValueError(
            "There must be one label for each feature. Received: "
            f"{features} features, {labels} labels."
        )


def _check_no_dictionary(inputs: Any) -> None:
    """Raises for a dictionary."""
    if isinstance(inputs, dict):
        raise ValueError(
            "A head is called as `head(features)`, `head(features, labels)` "
            "or `head((features, labels))`. Received: a dictionary with the "
            f"keys {list(inputs)}."
        )

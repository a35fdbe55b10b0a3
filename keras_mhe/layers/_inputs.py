"""What a head is called on: features, alone or with labels."""

from typing import Any

import keras
from keras import ops

from keras_mhe import _backend, _validation
from keras_mhe._typing import KerasObject, Tensor


def features_shape(input_shape: Any) -> tuple[Any, ...]:
    """Returns the shape of the features, alone or in a pair with labels."""
    _validation.features_or_pair(input_shape)
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
    _validation.features_or_pair(inputs)
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
    _validation.labels_can_be_classes(labels.shape, dtype, units)
    if "float16" in dtype:  # No array of NumPy holds bfloat16.
        labels = ops.cast(labels, "float32")
    known = _backend.known_values(labels)
    if known is not None:
        _validation.labels_in_range(known, units)
    return ops.reshape(ops.cast(labels, _backend.INDEX_DTYPE), (-1,))

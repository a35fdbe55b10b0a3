"""What a head is called on: features, alone or in a pair with labels."""

from typing import Any

import keras
from keras import ops

from keras_mhe import _backend, _validation
from keras_mhe._typing import KerasObject, Tensor


def features_shape(input_shape: Any) -> tuple[Any, ...]:
    """Returns the shape of the features, alone or in a pair with labels."""
    has_labels = isinstance(input_shape[0], list | tuple)
    shape = tuple(input_shape[0] if has_labels else input_shape)
    if len(shape) != 2 or shape[-1] is None:
        raise ValueError(
            "The features of a head must have the shape (batch, dim) with a "
            f"known dim. Received: shape={shape}."
        )
    return shape


def features_and_labels(inputs: Any) -> tuple[KerasObject, Any]:
    """Splits the argument of `call`."""
    if not isinstance(inputs, list | tuple):
        return inputs, None
    if len(inputs) != 2:
        raise ValueError(
            "A head is called on features, or on the pair (features, "
            f"labels). Received: {len(inputs)} inputs."
        )
    return inputs[0], inputs[1]


def checked_labels(labels: Tensor, units: int) -> Tensor:
    """Returns labels of shape `(batch,)`; raises for bad ones."""
    labels = ops.convert_to_tensor(labels)
    dtype = keras.backend.standardize_dtype(labels.dtype)
    known = _backend.known_values(labels)
    _validation.labels_are_integers(labels.shape, dtype, known is None)
    if known is not None:
        _validation.labels_in_range(known, units)
    return ops.reshape(ops.cast(labels, _backend.INDEX_DTYPE), (-1,))

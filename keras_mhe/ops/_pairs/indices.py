"""Indices of neurons, as anchors and others are."""

import keras
import numpy as np
from keras import ops

from keras_mhe import _backend
from keras_mhe._typing import Tensor


def checked_indices(name: str, indices: Tensor, num_neurons: Tensor) -> Tensor:
    """Returns indices in range; raises for known ones out of range.

    Some trainers hand integers over as floats inside of compiled functions.

    Args:
        name: Of the argument.
        indices: Tensor, array or list.
        num_neurons: Number of neurons; a scalar tensor where it is not known.

    Returns:
        Integer tensor of shape `(m,)`.

    Raises:
        ValueError: If they are no vector of integers, or out of range.
    """
    is_tensor = ops.is_tensor(indices)
    if not is_tensor:
        indices = np.asarray(indices)
    shape = tuple(indices.shape)
    dtype = keras.backend.standardize_dtype(indices.dtype)
    known = _backend.known_values(indices) if is_tensor else indices
    may_be_indices = "int" in dtype or (known is None and "float" in dtype)
    if len(shape) != 1 or shape[0] == 0 or not may_be_indices:
        raise ValueError(
            f"`{name}` must be a non-empty vector of integers, shape (m,). "
            f"Received: shape={shape}, dtype={dtype}."
        )
    if known is not None and isinstance(num_neurons, int):
        wrong = known[(known < 0) | (known >= num_neurons)]
        if wrong.size:
            raise ValueError(
                f"`{name}` must be in [0, {num_neurons - 1}], the indices of "
                f"the neurons. Received: {wrong[0]}."
            )
    if not is_tensor:
        indices = ops.convert_to_tensor(indices, dtype=_backend.INDEX_DTYPE)
        if isinstance(num_neurons, int):  # So they are known to be in range.
            return indices
    indices = ops.cast(indices, _backend.INDEX_DTYPE)
    return ops.clip(indices, 0, num_neurons - 1)

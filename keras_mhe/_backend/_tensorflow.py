"""TensorFlow's side of `keras_mhe._backend`."""

from typing import Any

import numpy as np
import tensorflow as tf


def known_values(indices: Any) -> np.ndarray | None:
    """Returns the values of `indices`, or `None` inside a traced function."""
    if tf.is_symbolic_tensor(indices):
        return None
    return np.asarray(indices)


def arctan2(sine: Any, cosine: Any) -> Any:
    """Returns the angle of each point, in the dtype of its coordinates."""
    return tf.atan2(sine, cosine)

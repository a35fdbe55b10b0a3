"""JAX's side of `keras_mhe._backend`."""

from typing import Any

import jax
import numpy as np


def known_values(indices: Any) -> np.ndarray | None:
    """Returns the values of `indices`, or `None` inside a traced function."""
    if isinstance(indices, jax.core.Tracer):
        return None
    return np.asarray(indices)


def arctan2(sine: Any, cosine: Any) -> Any:
    """Returns the angle of each point, in the dtype of its coordinates."""
    return jax.numpy.arctan2(sine, cosine)

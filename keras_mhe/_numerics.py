"""Limits of floating point arithmetic, and the constants of the energy."""

import math
from typing import Any

import keras
import numpy as np

from keras_mhe._typing import Tensor

#: Where a potential of high power is continued by its tangent, so that sums
#: over many pairs and gradients of short neurons stay in float32's range.
LARGEST_POTENTIAL = 1e15

#: Gradients are cut here, far above anything a training run can use. Reached
#: only by neurons of tiny norm.
LARGEST_GRADIENT = 1e30


#: The largest finite float16.
LARGEST_HALF = 65504.0


def computation_dtype(tensor: Tensor) -> str:
    """Returns `"float64"` for float64 tensors, `"float32"` for all others."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return "float64" if dtype == "float64" else "float32"


def wide_dtype(dtype: Any) -> str:
    """Returns what Keras makes of an argument `dtype`, float32 at least."""
    policy = keras.dtype_policies.get(dtype or keras.config.floatx())
    return "float64" if policy.compute_dtype == "float64" else "float32"


#: Vectors of up to so many entries are short: their products are right to a
#: few machine epsilons, whatever order a backend adds them up in.
SHORT = 128


def equal_distance(dtype: str) -> float:
    """Returns the `r**2` whose energy equal vectors have: 16 epsilons.

    That is `r = 1.4e-3` in float32, 6e-8 in float64.
    """
    return 16.0 * float(np.finfo(dtype).eps)


def resolution(dtype: str, dim: int | None = None) -> float:
    """Returns the smallest `r**2 = 2 - 2c` told apart from 0.

    A cosine of unit vectors carries an error of some machine epsilons, which
    grows with their dimension. Two vectors closer than that may as well be
    equal, and the direction from one to the other is rounding noise.

    Args:
        dtype: `"float32"` or `"float64"`.
        dim: Entries of a vector; `None` for few.

    Returns:
        16 epsilons up to 128 entries, as `equal_distance`; 32 up to 4,096
        and `sqrt(dim) / 2` beyond: in float32 `r = 2.0e-3`, 2.4e-3 at 10,000
        entries, 4.3e-3 at 100,000.
    """
    if dim is None or dim <= SHORT:
        return equal_distance(dtype)
    return max(32.0, 0.5 * math.sqrt(dim)) * float(np.finfo(dtype).eps)


def smallest_normal(dtype: str) -> float:
    """Returns the smallest number that no backend flushes to zero."""
    return float(np.finfo(dtype).tiny)


def largest_gradient(dtype: str) -> float:
    """Returns where gradients are cut, so that they stay finite in a dtype."""
    return LARGEST_HALF if dtype == "float16" else LARGEST_GRADIENT

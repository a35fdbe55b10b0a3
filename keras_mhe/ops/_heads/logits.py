"""Logits of features against class vectors of length 1."""

import math
from collections.abc import Callable

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe.ops._pairs.neurons import unit_columns

#: Maps the cosines of the samples' own classes to what replaces them.
Margin = Callable[[Tensor], Tensor]


def cosines(features: Tensor, kernel: Tensor) -> Tensor:
    """Cosines of the angles between features and class vectors.

    Args:
        features: Float tensor, shape `(batch, dim)`.
        kernel: Float tensor, shape `(dim, units)`; each column is the vector
            of a class, of any length.

    Returns:
        Tensor of shape `(batch, units)` in [-1, 1] up to rounding, float32
        (float64 if both arguments are). Differentiable once. A feature or a
        class vector of zeros has the cosine 0 with everything and gets no
        gradient. One with NaN or infinity in it has the cosine NaN, so that
        a network that diverges is seen.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import cosines
        >>> features = np.array([[3.0, 4.0], [0.0, 0.0]], "float32")
        >>> result = cosines(features, np.eye(2, dtype="float32"))
        >>> [[round(float(c), 6) for c in row] for row in result]
        [[0.6, 0.8], [0.0, 0.0]]
    """
    features = ops.convert_to_tensor(features)
    kernel = ops.convert_to_tensor(kernel)
    directions = unit_columns(ops.transpose(features))
    classes = unit_columns(kernel)
    if directions.dtype != classes.dtype:
        directions = ops.cast(directions, "float32")
        classes = ops.cast(classes, "float32")
    result = _backend.matmul(directions, classes, transpose_first=True)
    is_finite = ops.logical_and(
        ops.all(ops.isfinite(features), axis=1)[:, None],
        ops.all(ops.isfinite(kernel), axis=0)[None, :],
    )
    return ops.where(is_finite, result, math.nan)


def feature_norms(features: Tensor) -> Tensor:
    """Lengths of features, with the gradient 0 at zero.

    Args:
        features: Float tensor, shape `(batch, dim)`.

    Returns:
        Tensor of shape `(batch, 1)`, float32 (float64 for float64 features).

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import feature_norms
        >>> norms = feature_norms(np.array([[3.0, 4.0], [0.0, 0.0]]))
        >>> [round(float(norm), 6) for norm in norms[:, 0]]
        [5.0, 0.0]
    """
    features = ops.convert_to_tensor(features)
    features = ops.cast(features, _numerics.computation_dtype(features))
    directions = ops.transpose(
        ops.stop_gradient(unit_columns(ops.transpose(features)))
    )
    return ops.sum(features * directions, axis=-1, keepdims=True)


def is_target(labels: Tensor, units: Tensor) -> Tensor:
    """Returns a bool tensor `(batch, units)`, true at each row's own class.

    Labels may be integers, or floats as losses get them. A row whose label is
    not in `[0, units)` has no class.
    """
    classes = ops.cast(_backend.indices(units), labels.dtype)
    return ops.equal(labels[:, None], classes[None, :])


def with_margin(cosines: Tensor, targets: Tensor, margin: Margin) -> Tensor:
    """Replaces the cosine of each row's own class.

    Args:
        cosines: Tensor of shape `(batch, units)`.
        targets: Bool tensor of that shape, true once or never in a row.
        margin: Function of the cosines of the own classes, shape `(batch,)`.

    Returns:
        Tensor of the shape of `cosines`.
    """
    # A sum, because it stays on its device where classes are spread.
    own = ops.sum(ops.where(targets, cosines, 0.0), axis=-1)
    return ops.where(targets, margin(own)[:, None], cosines)

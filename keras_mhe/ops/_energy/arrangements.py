"""Arrangements of unit vectors with the least energy, or nearly."""

import dataclasses

import numpy as np
from keras import ops

from keras_mhe import _backend
from keras_mhe._typing import Tensor
from keras_mhe.ops._energy.descent import lowered
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.neurons import unit_columns


def spread_directions(normal: Tensor, form: EnergyForm, steps: int) -> Tensor:
    """Returns unit vectors of low energy, at the minimum where it is known.

    Args:
        normal: Independent normal numbers, shape `(dim, num_neurons)`, float32
            or float64: they decide on the rotation, or are the start.
        form: The energy.
        steps: Steps of the descent where no minimum is known.

    Returns:
        Tensor of the shape and dtype of `normal`.
    """
    dim, num_neurons = normal.shape
    size = num_neurons // form.groups
    stack = ops.reshape(normal, (dim, form.groups, size))
    stack = ops.transpose(stack, (1, 0, 2))
    if form.half_space and size <= dim:
        vectors = random_frame(stack)
    elif _is_convex(form) and 1 < size <= dim + 1:
        points = ops.convert_to_tensor(simplex(size), dtype=normal.dtype)
        vectors = _backend.matmul(random_frame(stack[..., :-1]), points)
    elif _is_convex(form) and size == 2 * dim:
        frame = random_frame(stack[..., :dim])
        vectors = ops.concatenate([frame, -frame], axis=-1)
    else:
        form = dataclasses.replace(form, neuron_axis=-1)
        # Far too large for many kernels, so as large as each of them allows.
        return unit_columns(lowered(normal, form, steps, rate=10.0))
    vectors = ops.transpose(vectors, (1, 0, 2))
    return ops.reshape(vectors, (dim, num_neurons))


def _is_convex(form: EnergyForm) -> bool:
    """Whether the energy is convex in the cosine, in full space."""
    return not form.half_space and form.distance == "euclidean"


def random_frame(normal: Tensor) -> Tensor:
    """Returns orthonormal columns, uniformly distributed.

    Args:
        normal: Independent normal numbers, shape `(..., dim, count)` with
            `count <= dim`, float32 or float64.

    Returns:
        Tensor of the same shape: the orthogonal factor of the QR decomposition
        whose other factor has a positive diagonal, which makes it unique.
    """
    frame, triangle = ops.qr(normal)
    diagonal = ops.diagonal(triangle, axis1=-2, axis2=-1)
    signs = ops.where(diagonal < 0.0, -1.0, 1.0)
    return frame * ops.cast(signs, frame.dtype)[..., None, :]


def simplex(num_neurons: int) -> np.ndarray:
    """Returns the regular simplex: columns with cosines `-1 / (N - 1)`.

    Args:
        num_neurons: Int `N >= 2`.

    Returns:
        Float64 array of shape `(N - 1, N)`: the rows of a Helmert matrix that
        are orthogonal to the vector of ones, scaled.
    """
    rows = np.tril(np.ones((num_neurons - 1, num_neurons)))
    counts = np.arange(1, num_neurons)
    rows[counts - 1, counts] = -counts
    rows /= np.sqrt(counts * (counts + 1.0))[:, None]
    points: np.ndarray = rows * np.sqrt(num_neurons / (num_neurons - 1.0))
    return points

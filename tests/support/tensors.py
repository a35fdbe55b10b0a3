"""Arrays in and out of tensors of the active backend, and how they compare."""

import keras
import numpy as np
from keras import ops

from support import numpy_reference


def random_array(*shape, seed=0, dtype="float32"):
    """Normal numbers, the same ones in each call."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def as_array(tensor):
    """The values of a tensor, also of one that takes gradients."""
    return ops.convert_to_numpy(tensor)


def as_float(tensor):
    """The value of a scalar tensor, also of one that takes gradients."""
    return float(as_array(tensor))


def total(losses):
    """Sum of a list of scalar tensors."""
    return sum(as_float(loss) for loss in losses)


def lengths(kernel, neuron_axis=-1):
    """Euclidean lengths of a kernel's neurons."""
    rows = numpy_reference.neuron_vectors(as_array(kernel), neuron_axis)
    return np.array([np.linalg.norm(row) for row in rows])


def dtype_of(tensor):
    """Name of a tensor's dtype, the same on every backend."""
    return keras.backend.standardize_dtype(tensor.dtype)


def rounded(array, dtype):
    """The numbers of a dtype nearest to those of an array, as float32."""
    tensor = ops.convert_to_tensor(array, "float32")
    return as_array(ops.cast(ops.cast(tensor, dtype), "float32"))


def assert_near(actual, expected, tolerance):
    """Compares arrays; errors are fractions of the largest expected entry."""
    largest = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, atol=tolerance * largest)


def weights_of(owner):
    """Copies of the weights of a model or layer, or those of a list."""
    weights = owner if isinstance(owner, list) else owner.weights
    return [as_array(weight) for weight in weights]


def assert_same_weights(actual, expected, atol=0.0):
    """Compares the weights of models or layers, or lists of weights."""
    for one, other in zip(
        weights_of(actual), weights_of(expected), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=0.0, atol=atol)

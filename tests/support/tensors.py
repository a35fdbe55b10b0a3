"""Tensors of the active backend as Python numbers and NumPy arrays."""

import numpy as np
from keras import ops

from support import numpy_reference


def as_float(tensor):
    """The value of a scalar tensor, also of one that takes gradients."""
    return float(ops.convert_to_numpy(tensor))


def as_array(tensor):
    """The values of a tensor or variable."""
    return ops.convert_to_numpy(tensor)


def total(losses):
    """Sum of a list of scalar tensors."""
    return sum(as_float(loss) for loss in losses)


def lengths(kernel, neuron_axis=-1):
    """Euclidean lengths of a kernel's neurons."""
    rows = numpy_reference.neuron_vectors(as_array(kernel), neuron_axis)
    return np.array([np.linalg.norm(row) for row in rows])

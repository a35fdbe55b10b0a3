"""A kernel as the matrix whose columns are its neurons."""

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_axes
from keras_mhe.ops._pairs.neurons import neuron_columns


def matrix_of(weights: Tensor, neuron_axis: int | tuple[int, ...]) -> Tensor:
    """Returns the kernel with a column for each neuron, float32 or float64."""
    weights = ops.convert_to_tensor(_backend.value_of(weights))
    columns = neuron_columns(weights, check_axes(neuron_axis))
    return ops.cast(columns, _numerics.computation_dtype(weights))

"""TensorFlow's side of `keras_mhe._backend`."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

#: See `_backend.INDEX_DTYPE`.
INDEX_DTYPE = "int64"

#: See `_backend.SEES_RECOMPUTATION`.
SEES_RECOMPUTATION = False


def known_values(indices: Any) -> np.ndarray | None:
    """Returns the values of `indices`, or `None` inside a traced function."""
    if tf.is_symbolic_tensor(indices):
        return None
    return np.asarray(indices)


def value_of(tensor: Any) -> Any:
    """Returns the value of a tensor or a `tf.Variable`."""
    return tf.convert_to_tensor(tensor)


def arctan2(sine: Any, cosine: Any) -> Any:
    """Returns the angle of each point, in the dtype of its coordinates."""
    return tf.atan2(sine, cosine)


def cosine(angle: Any) -> Any:
    """Returns the cosine of each angle, in the angles' dtype."""
    return tf.cos(angle)


def sine(angle: Any) -> Any:
    """Returns the sine of each angle, in the angles' dtype."""
    return tf.sin(angle)


def at_least(tensor: Any, bound: float) -> Any:
    """Returns the larger of each entry and a number, in the entries' dtype."""
    return tf.maximum(tensor, bound)


def largest_magnitudes(matrix: Any) -> Any:
    """Returns the largest absolute value in each column."""
    return tf.reduce_max(tf.abs(matrix), axis=0)


def matmul(
    first: Any,
    second: Any,
    *,
    transpose_first: bool = False,
    transpose_second: bool = False,
) -> Any:
    """Returns the matrix product, in the full precision of the dtype.

    Also on GPUs, whose factors of float32 products TensorFlow rounds to TF32
    unless told otherwise.
    """

    def product(first: Any, second: Any) -> Any:
        return _product(first, second, transpose_first, transpose_second)

    if first.dtype != tf.float32 or not _rounds():
        return product(first, second)
    high, other_high = _high_part(first), _high_part(second)
    # What is left out is 2**-22 of the product.
    low = product(high, second - other_high) + product(first - high, other_high)
    return product(high, other_high) + low


def _product(
    first: Any, second: Any, transpose_first: bool, transpose_second: bool
) -> Any:
    """Returns the product, without copies for the transposes."""
    return tf.matmul(
        first,
        second,
        transpose_a=transpose_first,
        transpose_b=transpose_second,
    )


def _rounds() -> bool:
    """Whether TensorFlow may round the factors of float32 products."""
    is_on = tf.config.experimental.tensor_float_32_execution_enabled()
    return bool(is_on and tf.config.list_logical_devices("GPU"))


def _high_part(matrix: Any) -> Any:
    """Returns a float32 matrix without the last 13 of its 24 bits."""
    bits = tf.bitcast(matrix, tf.int32)
    return tf.bitcast(tf.bitwise.bitwise_and(bits, -(1 << 13)), tf.float32)


def multiply_no_nan(tensor: Any, factors: Any) -> Any:
    """Returns the product, which is 0 where a factor is 0, even for NaN."""
    # Not `tf.math.multiply_no_nan`, which ONNX does not know.
    zero = tf.zeros((), tensor.dtype)
    return tf.where(tf.equal(factors, 0), zero, tensor * factors)


def multiply_and_cut(tensor: Any, factors: Any, largest: float) -> Any:
    """Returns the product, cut at `largest` on both sides of 0."""
    return tf.clip_by_value(tensor * factors, -largest, largest)


def set_diagonal(table: Any, values: Any) -> Any:
    """Returns square matrices with these values on their diagonals."""
    values = tf.broadcast_to(values, tf.shape(table)[:-1])
    return tf.linalg.set_diag(table, tf.cast(values, table.dtype))


def padded(tensor: Any, padding: int) -> Any:
    """Returns a tensor with zeros after the entries of its last axis."""
    return tf.pad(tensor, [(0, 0)] * (len(tensor.shape) - 1) + [(0, padding)])


def scale(table: Any, rows: Any, columns: Any) -> Any:
    """Returns a table with factors for its rows and columns, if any."""
    table = table * rows[..., None]
    return table if columns is None else table * columns[..., None, :]


def new_sums(blocks: Any) -> Any:
    """Returns a sum of zero for each block of a stack.

    As an array of tensors: in a loop, TensorFlow would copy one large tensor
    whenever a part of it changes.
    """
    sums = tf.TensorArray(
        blocks.dtype,
        size=tf.shape(blocks)[0]
        if blocks.shape[0] is None
        else blocks.shape[0],
        element_shape=blocks.shape[1:],
        clear_after_read=False,
    )
    return sums.unstack(tf.zeros_like(blocks))


def add_at(sums: Any, index: Any, update: Any) -> Any:
    """Returns the sums with `update` added to the one at `index`."""
    return sums.write(index, sums.read(index) + update)


def stack(sums: Any) -> Any:
    """Returns the sums as one tensor."""
    return sums.stack()


def take_columns(matrix: Any, indices: Any) -> Any:
    """Returns the columns at indices that are in range."""
    return tf.gather(matrix, indices, axis=1)


def add_to_columns(matrix: Any, indices: Any, columns: Any) -> Any:
    """Returns `matrix` with columns added; indices may repeat."""
    rows = tf.tensor_scatter_nd_add(
        tf.transpose(matrix), indices[:, None], tf.transpose(columns)
    )
    return tf.transpose(rows)


def device_shards(columns: Any) -> None:
    """Returns `None`: Keras shards no variable on this backend."""
    return None


def runs_on_cpu(tensor: Any) -> bool:
    """Returns whether computations with the tensor run on a CPU."""
    return not tf.config.list_logical_devices("GPU")


def constant(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function of constants, which a program holds as its result."""
    return function(*args)


def is_exporting() -> bool:
    """Returns `False`: exporters of this backend know functions' gradients."""
    return False


def is_recomputing() -> bool:
    """Returns `False`: this backend does not tell."""
    return False


def loss_summand(loss: Any) -> Any:
    """Returns the loss in Keras' float dtype, if that is a short one.

    Finite ones stay finite, and get their gradient anyway.
    """
    floatx = keras.config.floatx()
    if floatx not in ("float16", "bfloat16"):
        return loss
    largest = float(tf.as_dtype(floatx).max)
    value = tf.stop_gradient(tf.clip_by_value(loss, -largest, largest))
    return tf.cast(value + (loss - tf.stop_gradient(loss)), floatx)


def repeat(times: int, step: Callable[..., Any], state: Any) -> Any:
    """Repeats a step; a graph holds it as a loop."""
    return keras.ops.fori_loop(0, times, lambda _, state: step(*state), state)


def as_one_program(
    function: Callable[..., Any], tensor: Any, *constants: Any
) -> Any:
    """Calls a function with long loops, which a graph holds as loops."""
    return function(tensor, *constants)


def without_unrolling(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function with long loops, which a graph holds as loops."""
    return function(*args)

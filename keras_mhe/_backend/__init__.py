"""What the three backends do differently, under the same names.

Only the chosen backend's module is imported, so only that framework must be
installed.
"""

import importlib
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_mhe._typing import Tensor

_SUPPORTED = ("tensorflow", "jax", "torch")

if keras.backend.backend() not in _SUPPORTED:
    raise ImportError(
        "keras_mhe runs on the Keras backends 'tensorflow', 'jax' and "
        f"'torch'. Received: KERAS_BACKEND={keras.backend.backend()!r}."
    )

_module = importlib.import_module(
    f"keras_mhe._backend._{keras.backend.backend()}"
)

#: Integers for indices. TensorFlow keeps shorter ones in the host's memory, so
#: that a GPU would wait for the host and the host for it.
INDEX_DTYPE: str = _module.INDEX_DTYPE


def indices(size: Tensor) -> Tensor:
    """Returns the numbers from 0 to `size - 1`, shape `(size,)`."""
    return ops.cast(ops.arange(size, dtype="int32"), INDEX_DTYPE)


#: The values of an index tensor as a NumPy array, or `None` while tracing.
known_values: Callable[[Tensor], Tensor | None] = _module.known_values

#: The value of a tensor that may be the backend's own variable, which
#: `keras.ops.convert_to_tensor` leaves as it is on TensorFlow.
value_of: Callable[[Tensor], Tensor] = _module.value_of

#: Whether computations with the tensor run on a CPU.
runs_on_cpu: Callable[[Tensor], bool] = _module.runs_on_cpu

#: `keras.ops.arctan2`, which on JAX answers float64 with float32.
arctan2: Callable[[Tensor, Tensor], Tensor] = _module.arctan2

#: `keras.ops.cos` and `keras.ops.sin`, which on JAX answer float64 with
#: float32.
cosine: Callable[[Tensor], Tensor] = _module.cosine
sine: Callable[[Tensor], Tensor] = _module.sine

#: `keras.ops.maximum` with a number, which on PyTorch answers float64 with
#: float32.
at_least: Callable[[Tensor, float], Tensor] = _module.at_least

#: The largest absolute value in each column of a matrix, by which
#: `torch.compile` does not stop as by `keras.ops.max`.
largest_magnitudes: Callable[[Tensor], Tensor] = _module.largest_magnitudes

#: `keras.ops.matmul`, which has no flags for transposed factors, on PyTorch
#: answers float64 with float32, and on accelerators rounds.
matmul: Callable[..., Tensor] = _module.matmul

#: The product of a tensor with factors along its last axis. It is 0 where a
#: factor is 0, even if the tensor has NaN or infinity there. May overwrite the
#: tensor.
multiply_no_nan: Callable[[Tensor, Tensor], Tensor] = _module.multiply_no_nan

#: The product of a tensor with factors, cut at a number on both sides of 0.
multiply_and_cut: Callable[[Tensor, Tensor, float], Tensor] = (
    _module.multiply_and_cut
)

#: Square matrices with given values on their diagonals, a vector for each or
#: one number. May overwrite the matrices.
set_diagonal: Callable[[Tensor, Any], Tensor] = _module.set_diagonal

#: A tensor with a number of zeros after the entries of its last axis.
padded: Callable[[Tensor, int], Tensor] = _module.padded

#: Tables multiplied by factors of their rows and, unless `None`, of their
#: columns. May overwrite the tables.
scale: Callable[[Tensor, Tensor, Tensor | None], Tensor] = _module.scale

#: Sums of zero, one for each block of a stack, to be changed in a loop: each
#: with `add_at(sums, index, update)`, which may overwrite them, and all seen as
#: one tensor by `stack(sums)`.
new_sums: Callable[[Tensor], Any] = _module.new_sums
add_at: Callable[[Any, Tensor, Tensor], Any] = _module.add_at
stack: Callable[[Any], Tensor] = _module.stack

#: The columns of a matrix at indices in range, differentiable by the matrix.
take_columns: Callable[[Tensor, Tensor], Tensor] = _module.take_columns

#: Adds columns to those of a matrix at indices that may repeat. May overwrite
#: the matrix.
add_to_columns: Callable[[Tensor, Tensor, Tensor], Tensor] = (
    _module.add_to_columns
)

#: How Keras spreads the columns of a matrix over devices, or `None`: an object
#: with `count`, `map`, `index` and `sum`, see `_jax.DeviceShards`.
device_shards: Callable[[Tensor], Any] = _module.device_shards

#: Calls a function of numbers and NumPy, whose result depends on nothing else.
constant: Callable[..., Any] = _module.constant

#: Repeats a step a number of times, as a loop where programs have loops: takes
#: the number, a function of the state's tensors that returns new ones, and the
#: state.
repeat: Callable[..., Any] = _module.repeat

#: Calls a function of a tensor and of hashable constants that has long loops;
#: on JAX as one compiled program, also outside of others.
as_one_program: Callable[..., Any] = _module.as_one_program

#: Whether `is_recomputing` knows more than that nothing is.
SEES_RECOMPUTATION: bool = _module.SEES_RECOMPUTATION

#: Whether the call is one that gradient checkpointing makes again in the
#: backward pass, so that it must not change any state.
is_recomputing: Callable[[], bool] = _module.is_recomputing

#: A loss that Keras can add to others: on TensorFlow it adds those of one dtype
#: only, so under a short `keras.config.floatx()` the loss has that dtype.
loss_summand: Callable[[Tensor], Tensor] = _module.loss_summand

#: Calls a function that has long loops.
without_unrolling: Callable[..., Tensor] = _module.without_unrolling


def with_gradient(
    forward: Callable[[Tensor], tuple[Tensor, Callable[[Tensor], Tensor]]],
    tensor: Tensor,
) -> Tensor:
    """Evaluates a function of one tensor with its own gradient.

    Hides that `keras.ops.custom_gradient` hands the upstream gradient over
    as the only argument on TensorFlow and JAX, as a keyword on PyTorch, and
    that on TensorFlow the function must not read a variable.

    Args:
        forward: Maps `tensor` to the pair of the value and a function from
            the upstream gradient, which has the value's shape, to the
            gradient with respect to `tensor`. It may close over integers,
            index tensors and nothing else that needs a gradient.
        tensor: The tensor to differentiate by.

    Returns:
        The value, differentiable once.
    """
    if _module.is_exporting():
        return forward(tensor)[0]

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def evaluate(tensor: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        value, pull_back = forward(tensor)

        def backward(*args: Tensor, upstream: Tensor = None) -> Tensor:
            return pull_back(args[0] if upstream is None else upstream)

        # On PyTorch a tensor of its own: the value, if `pull_back` holds it,
        # would hold its own graph, and the two would never be freed.
        return ops.stop_gradient(value), backward

    return evaluate(value_of(tensor))

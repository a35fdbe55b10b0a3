"""A softmax over the classes of a batch and some that are drawn at random.

The rows of a training batch meet `batch + k` columns: first the class of
each row, so that a row's own class is the column of the row's number, then
`k` drawn classes. Columns that would count a class twice are masked. The sum
over all classes in the denominator of the softmax is estimated without bias,
since drawn columns count `units / k` times; the logarithm of it, and so the
loss, is a little too low on average.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe.ops._heads.logits import Margin, cosines, with_margin

#: Logit of a column that does not count, far below all others; it also
#: stands in column 0 of sampled logits, by which a loss knows them. A power of
#: two, so that it is the same number in float32 and float64.
MASKED = -(2.0**100)


def draw_classes(units: int, num_drawn: int, seed: Any) -> Tensor:
    """Draws classes, none twice, each with the same probability.

    One from each of `num_drawn` intervals of nearly equal length, which begin
    at a random place: no sorting, no table of all classes.

    Args:
        units: Int >= 1, the number of classes, below 7e8.
        num_drawn: Int in [1, units].
        seed: A `keras.random.SeedGenerator`.

    Returns:
        Integer tensor of shape `(num_drawn,)`, in `[0, units)`.
    """
    ends = np.arange(num_drawn + 1, dtype="int64") * units // num_drawn
    dtype = _backend.INDEX_DTYPE
    begins = ops.convert_to_tensor(ends[:-1], dtype=dtype)
    lengths = ops.convert_to_tensor(np.diff(ends), dtype=dtype)
    numbers = keras.random.randint(
        (num_drawn + 1,), 0, 2**31 - 1, dtype="int32", seed=seed
    )
    numbers = ops.cast(numbers, dtype)
    inside = numbers[1:] % lengths
    return (numbers[0] % units + begins + inside) % units


def step_back(seed: Any) -> None:
    """Lets a `keras.random.SeedGenerator` give its last seed again."""
    state = seed.state
    state.assign(state - ops.convert_to_tensor([0, 1], dtype=state.dtype))


def sampled_logits(
    features: Tensor,
    kernel: Tensor,
    labels: Tensor,
    drawn: Tensor,
    *,
    scale: Tensor,
    margin: Margin,
) -> Tensor:
    """Logits of the classes of the batch and of drawn classes.

    Args:
        features: Float tensor, shape `(batch, dim)`.
        kernel: Float tensor, shape `(dim, units)`.
        labels: Integer tensor, shape `(batch,)`, in `[0, units)`; the nearest
            class is taken for another one.
        drawn: Integer tensor, shape `(k,)`, in `[0, units)`, none twice.
        scale: Factor of the cosines, a number or shape `(batch, 1)`.
        margin: Function of the cosines of the own classes.

    Returns:
        Tensor of shape `(batch, 1 + batch + k)`: a column of `MASKED`, the
        classes of the rows, the drawn ones.
    """
    kernel = ops.convert_to_tensor(kernel)
    # Before columns are taken, so that the gradients of one that is taken
    # several times do not meet in half precision.
    kernel = ops.cast(kernel, _numerics.computation_dtype(kernel))
    units = ops.shape(kernel)[1]
    batch, num_drawn = ops.shape(labels)[0], ops.shape(drawn)[0]
    dtype = _backend.INDEX_DTYPE
    labels = ops.clip(ops.cast(labels, dtype), 0, units - 1)
    classes = ops.concatenate([labels, ops.cast(drawn, dtype)])
    columns = _backend.take_columns(kernel, classes)
    row = _backend.indices(batch)[:, None]
    column = _backend.indices(batch + num_drawn)[None, :]
    is_own = ops.equal(row, column)
    has_own_class = ops.equal(labels[:, None], classes[None, :])
    # Columns that are the first of their class.
    is_earlier = ops.logical_and(has_own_class, row < column)
    is_first = ops.logical_not(ops.any(is_earlier, axis=0, keepdims=True))
    counts = ops.logical_or(
        is_own, ops.logical_and(is_first, ops.logical_not(has_own_class))
    )
    logits = scale * with_margin(cosines(features, columns), is_own, margin)
    weight = ops.cast(units, logits.dtype) / ops.cast(num_drawn, logits.dtype)
    is_drawn = column >= ops.cast(batch, column.dtype)
    logits = logits + ops.where(is_drawn, ops.log(weight), 0.0)
    masked = ops.convert_to_tensor(MASKED, dtype=logits.dtype)
    logits = ops.where(counts, logits, masked)
    mark = ops.zeros_like(logits[:, :1]) + masked
    return ops.concatenate([mark, logits], axis=1)


def target_columns(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the column of each row's own class, sampled logits or plain.

    Args:
        logits: Tensor of shape `(batch, columns)`.
        labels: Integer tensor, shape `(batch,)`.

    Returns:
        Integer tensor, shape `(batch,)`.
    """
    labels = ops.cast(labels, _backend.INDEX_DTYPE)
    row = _backend.indices(ops.shape(logits)[0])
    masked = ops.convert_to_tensor(MASKED, dtype=logits.dtype)
    is_sampled = ops.equal(logits[:, 0], masked)
    return ops.where(is_sampled, row + 1, labels)

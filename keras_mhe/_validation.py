"""Argument checks. Every message names argument, expectation and receipt."""

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

DISTANCES = ("euclidean", "angular")


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def non_negative_real(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises if it is not a real >= 0."""
    if not _is_real(value) or not math.isfinite(value) or value < 0:
        raise ValueError(
            f"`{name}` must be a finite real number >= 0. "
            f"Received: {name}={value!r}."
        )
    return float(value)


def real(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises if it is not a real or NaN."""
    if not _is_real(value) or math.isnan(value):
        raise ValueError(
            f"`{name}` must be a real number. Received: {name}={value!r}."
        )
    return float(value)


def finite_real(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises if it is not finite."""
    if not _is_real(value) or not math.isfinite(value):
        raise ValueError(
            f"`{name}` must be a finite real number. "
            f"Received: {name}={value!r}."
        )
    return float(value)


def real_in_range(name: str, value: Any, low: float, high: float) -> float:
    """Returns `value` as a float, or raises if it is not in [low, high]."""
    if not _is_real(value) or not low <= value <= high:
        raise ValueError(
            f"`{name}` must be a real number in [{low:g}, {high:g}]. "
            f"Received: {name}={value!r}."
        )
    return float(value)


def share(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises if it is not in (0, 1)."""
    if not _is_real(value) or not 0 < value < 1:
        raise ValueError(
            f"`{name}` must be a real number in (0, 1). "
            f"Received: {name}={value!r}."
        )
    return float(value)


def positive_share(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises if it is not in (0, 1]."""
    if not _is_real(value) or not 0 < value <= 1:
        raise ValueError(
            f"`{name}` must be a real number in (0, 1]. "
            f"Received: {name}={value!r}."
        )
    return float(value)


def positive_real(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises if it is not a real > 0."""
    if not _is_real(value) or not math.isfinite(value) or value <= 0:
        raise ValueError(
            f"`{name}` must be a finite real number > 0. "
            f"Received: {name}={value!r}."
        )
    return float(value)


def precision(value: Any) -> float:
    """Returns the precision of a Gaussian, or raises if not in (0, 20].

    float32 holds `exp(-4 * 20)`, the potential of opposite vectors.
    """
    if not _is_real(value) or not 0 < value <= 20:
        raise ValueError(
            "`precision` must be a real number in (0, 20]. "
            f"Received: precision={value!r}."
        )
    return float(value)


def positive_integer(name: str, value: Any) -> int:
    """Returns `value` as an int, or raises if it is not an integer >= 1."""
    if not _is_integer(value) or value < 1:
        raise ValueError(
            f"`{name}` must be an integer >= 1. Received: {name}={value!r}."
        )
    return int(value)


def integer_in_range(name: str, value: Any, low: int, high: int) -> int:
    """Returns `value` as an int, or raises if it is not in [low, high]."""
    if not _is_integer(value) or not low <= value <= high:
        raise ValueError(
            f"`{name}` must be an integer in [{low}, {high}]. "
            f"Received: {name}={value!r}."
        )
    return int(value)


def non_negative_integer(name: str, value: Any) -> int:
    """Returns `value` as an int, or raises if it is not an integer >= 0."""
    if not _is_integer(value) or value < 0:
        raise ValueError(
            f"`{name}` must be an integer >= 0. Received: {name}={value!r}."
        )
    return int(value)


def choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Returns `value`, or raises if it is not one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        expected = ", ".join(repr(option) for option in choices)
        raise ValueError(
            f"`{name}` must be one of {expected}. Received: {name}={value!r}."
        )
    return value


def names(name: str, value: Any) -> list[str] | None:
    """Returns `None` or a list of names, or raises if it is neither."""
    if value is None:
        return None
    is_list = isinstance(value, list | tuple) and len(value) > 0
    if not is_list or not all(isinstance(entry, str) for entry in value):
        raise ValueError(
            f"`{name}` must be None or a non-empty sequence of names. "
            f"Received: {name}={value!r}."
        )
    return list(value)


def boolean(name: str, value: Any) -> bool:
    """Returns `value` as a bool, or raises if it is anything else."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(
            f"`{name}` must be True or False. Received: {name}={value!r}."
        )
    return bool(value)


def block_size(value: Any) -> int | str:
    """Returns a valid `block_size`: `"auto"` or an integer >= 1."""
    if isinstance(value, str) and value == "auto":
        return value
    try:
        return positive_integer("block_size", value)
    except ValueError:
        raise ValueError(
            "`block_size` must be 'auto' or an integer >= 1. "
            f"Received: block_size={value!r}."
        ) from None


def length_or_initializer(lengths: Any) -> float:
    """Returns a length as a float; for what is no initializer either."""
    if not _is_real(lengths) or not math.isfinite(lengths) or lengths <= 0:
        raise ValueError(
            "`lengths` must be a finite real number > 0, a Keras initializer "
            f"or its name. Received: lengths={lengths!r}."
        )
    return float(lengths)


def shape_of_kernel(shape: Any) -> tuple[int, ...]:
    """Returns a shape as a tuple, or raises for anything else."""
    is_sequence = isinstance(shape, list | tuple)
    if not is_sequence or not all(_is_integer(size) for size in shape):
        raise ValueError(
            "`shape` must be a tuple of integers, the shape of a kernel. "
            f"Received: {type(shape).__name__}."
        )
    return tuple(map(int, shape))


def axes(value: Any) -> int | tuple[int, ...]:
    """Returns `neuron_axis` as an int or a non-empty tuple of ints.

    Lists are accepted, because JSON configurations turn tuples into lists.
    """
    try:
        if isinstance(value, list | tuple) and len(value) > 0:
            return tuple(_axis(axis) for axis in value)
        return _axis(value)
    except TypeError:
        raise ValueError(
            "`neuron_axis` must be an integer or a non-empty tuple of "
            f"integers. Received: neuron_axis={value!r}."
        ) from None


def _axis(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


def axes_of_rank(
    neuron_axis: int | tuple[int, ...], shape: Sequence[Any]
) -> tuple[int, ...]:
    """Returns the neuron axes as non-negative positions in `shape`.

    Raises:
        ValueError: If `shape` has rank 0 or 1, or if an axis is out of range,
            named twice, or if no axis is left to be a neuron's vector.
    """
    rank = len(shape)
    if rank < 2:
        raise ValueError(
            "`weights` must have rank 2 or more: axes that count the neurons "
            "and axes that hold each neuron's vector. "
            f"Received: weights.shape={tuple(shape)}."
        )
    named = (neuron_axis,) if isinstance(neuron_axis, int) else neuron_axis
    if any(not -rank <= axis < rank for axis in named):
        raise ValueError(
            f"`neuron_axis` must be in [{-rank}, {rank - 1}] for weights of "
            f"rank {rank}. Received: neuron_axis={neuron_axis}, "
            f"weights.shape={tuple(shape)}."
        )
    # Not by `%`, of which torch.compile may make a symbol.
    positions = tuple(
        [
            position
            for axis in named
            for position in range(rank)
            if axis in (position, position - rank)
        ]
    )
    if len(set(positions)) < len(positions) or len(positions) == rank:
        raise ValueError(
            "`neuron_axis` must name each axis once and leave at least one "
            "axis for the neuron's vector. "
            f"Received: neuron_axis={neuron_axis}, "
            f"weights.shape={tuple(shape)}."
        )
    return positions


def groups_divide(groups: int, num_neurons: Any) -> None:
    """Raises if a known number of neurons is 0 or not divided by `groups`."""
    if not isinstance(num_neurons, int):
        return
    if num_neurons == 0:
        raise ValueError(
            "`weights` must hold at least one neuron. Received: 0 neurons."
        )
    if num_neurons % groups:
        raise ValueError(
            "`groups` must divide the number of neurons. "
            f"Received: groups={groups}, number of neurons={num_neurons}."
        )


def random_level_is_finite(energy: float, power: float, dim: int) -> None:
    """Raises if random directions have no finite energy, so no gap exists."""
    if math.isinf(energy):
        raise ValueError(
            "`gap` needs a finite energy of random directions, so `power` "
            f"below {dim - 1}, the dimension of the neurons minus 1; give "
            f"`limit` instead. Received: power={power}, dimension {dim}."
        )


def one_level(limit: Any, gap: Any) -> None:
    """Raises unless exactly one of `limit` and `gap` is given."""
    if (limit is None) == (gap is None):
        raise ValueError(
            "Exactly one of `limit` and `gap` must be given. "
            f"Received: limit={limit!r}, gap={gap!r}."
        )


def unset_for_gan(power_s: Any, output_layer: Any) -> None:
    """Raises if the GAN program's term is asked for with what it has not."""
    if power_s is not None or output_layer is not False:
        raise ValueError(
            "The GAN program's term has no `power_s` and no `output_layer`. "
            f"Received: power_s={power_s!r}, output_layer={output_layer!r}."
        )


def length_of_vector(name: str, shape: Sequence[Any], length: Any) -> None:
    """Raises unless a singular vector has the length of its side of `W`."""
    if tuple(shape) != (length,):
        raise ValueError(
            f"`{name}` must have the shape ({length},), that side of the "
            f"kernel. Received: {name}.shape={tuple(shape)}."
        )


def others_have_anchors(anchors: Any, groups: int) -> None:
    """Raises if drawn `others` have no anchors to meet, or groups."""
    if anchors is None or groups != 1:
        raise ValueError(
            "`others` need `anchors` and `groups=1`. Received: "
            f"anchors={'None' if anchors is None else 'given'}, "
            f"groups={groups}."
        )


def _may_be_indices(dtype: str, is_traced: bool) -> bool:
    """Whether a dtype is that of indices.

    Some trainers hand integers over as floats inside of compiled functions.
    """
    return "int" in dtype or (is_traced and "float" in dtype)


def indices_are_integers(
    name: str, shape: Sequence[Any], dtype: str, is_traced: bool
) -> None:
    """Raises unless indices have a shape `(m,)`, `m >= 1`, and are ints."""
    is_vector = len(shape) == 1 and shape[0] != 0
    if not is_vector or not _may_be_indices(dtype, is_traced):
        raise ValueError(
            f"`{name}` must be a non-empty vector of integers, shape (m,). "
            f"Received: shape={tuple(shape)}, dtype={dtype}."
        )


def indices_in_range(name: str, indices: Any, size: Any) -> None:
    """Raises unless the known `indices` are in [0, size), if that is known."""
    if not isinstance(size, int):
        return
    wrong = indices[(indices < 0) | (indices >= size)]
    if wrong.size:
        raise ValueError(
            f"`{name}` must be in [0, {size - 1}], the indices of the "
            f"neurons. Received: {wrong[0]}."
        )


def labels_are_integers(
    shape: Sequence[Any], dtype: str, is_traced: bool
) -> None:
    """Raises unless labels have shape `(batch,)` or `(batch, 1)` and ints."""
    is_vector = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if not is_vector or not _may_be_indices(dtype, is_traced):
        raise ValueError(
            "`labels` must be integers of shape (batch,) or (batch, 1); for "
            'an input layer, `keras.Input((), dtype="int32")`. '
            f"Received: shape={tuple(shape)}, dtype={dtype}."
        )


def one_label_for_each(features: Any, labels: Any) -> None:
    """Raises if two known batch sizes differ."""
    known = isinstance(features, int) and isinstance(labels, int)
    if known and features != labels:
        raise ValueError(
            "There must be one label for each feature. Received: "
            f"{features} features, {labels} labels."
        )


def labels_in_range(labels: Any, units: int) -> None:
    """Raises unless the known labels are in [0, units)."""
    wrong = labels[(labels < 0) | (labels >= units)]
    if wrong.size:
        raise ValueError(
            f"`labels` must be in [0, {units - 1}], the classes of the head. "
            f"Received: {wrong.flat[0]}."
        )

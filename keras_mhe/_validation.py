"""Checks that several classes need; a rule of one class lives with it.

Every message names the argument, what was expected, and what was received.
"""

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

DISTANCES = ("euclidean", "angular")


def _reject(name: str, value: Any, expected: str) -> NoReturn:
    raise ValueError(
        f"`{name}` must be {expected}. Received: {name}={value!r}."
    )


def is_real(value: Any) -> bool:
    """Returns whether `value` is a real number and no bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_integer(value: Any) -> bool:
    """Returns whether `value` is an integer and no bool."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_integer(
    name: str, value: Any, *, at_least: int, at_most: float = math.inf
) -> int:
    """Returns `value` as an int, or raises if it is none in the range."""
    if not is_integer(value) or not at_least <= value <= at_most:
        is_open = at_most == math.inf
        place = f">= {at_least}" if is_open else f"in [{at_least}, {at_most}]"
        _reject(name, value, f"an integer {place}")
    return int(value)


def check_real(
    name: str,
    value: Any,
    *,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
    finite: bool = True,
) -> float:
    """Returns `value` as a float, or raises if it is no real in the range.

    Bools and NaN are in no range, infinity only if it need not be `finite`.
    """
    low, high = max(at_least, above), min(at_most, below)
    if is_real(value) and low <= value <= high:
        # These ends are not in the range; by default they are infinite.
        is_end = value in (above, below)
        if not is_end or (math.isinf(value) and not finite):
            return float(value)
    expected = "a finite real number" if finite else "a real number"
    if high < math.inf:
        left = "(" if above == low else "["
        right = ")" if below == high else "]"
        expected = f"a real number in {left}{low:g}, {high:g}{right}"
    elif low > -math.inf:
        expected += f" {'>' if above == low else '>='} {low:g}"
    _reject(name, value, expected)


def check_boolean(name: str, value: Any) -> bool:
    """Returns `value` as a bool, or raises if it is anything else."""
    if not isinstance(value, bool | np.bool_):
        _reject(name, value, "True or False")
    return bool(value)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Returns `value`, or raises if it is not one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        expected = ", ".join(repr(option) for option in choices)
        _reject(name, value, f"one of {expected}")
    return value


def check_names(name: str, value: Any) -> list[str] | None:
    """Returns `None` or a list of names, or raises if it is neither."""
    if value is None:
        return None
    is_list = isinstance(value, list | tuple) and len(value) > 0
    if not is_list or not all(isinstance(entry, str) for entry in value):
        _reject(name, value, "None or a non-empty sequence of names")
    return list(value)


def check_block_size(value: Any) -> int | str:
    """Returns a valid `block_size`: `"auto"` or an integer >= 1."""
    if isinstance(value, str) and value == "auto":
        return value
    if not is_integer(value) or value < 1:
        _reject("block_size", value, "'auto' or an integer >= 1")
    return int(value)


def check_axes(value: Any, name: str = "neuron_axis") -> int | tuple[int, ...]:
    """Returns axes as an int or a non-empty tuple of ints.

    Lists are accepted, because JSON configurations turn tuples into lists.
    """
    is_several = isinstance(value, list | tuple) and len(value) > 0
    try:
        axes = tuple(map(_axis, value if is_several else [value]))
    except TypeError:
        _reject(name, value, "an integer or a non-empty tuple of integers")
    return axes if is_several else axes[0]


def _axis(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


def axes_config(value: int | tuple[int, ...]) -> int | list[int]:
    """Returns checked axes as JSON holds them."""
    return value if isinstance(value, int) else list(value)


def axes_of_rank(
    neuron_axis: int | tuple[int, ...],
    shape: Sequence[Any],
    name: str = "neuron_axis",
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
            f"`{name}` must be in [{-rank}, {rank - 1}] for weights of "
            f"rank {rank}. Received: {name}={neuron_axis}, "
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
            f"`{name}` must name each axis once and leave at least one axis "
            f"for the neuron's vector. Received: {name}={neuron_axis}, "
            f"weights.shape={tuple(shape)}."
        )
    return positions


def check_groups(groups: int, num_neurons: Any) -> None:
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


def check_labels_of_logits(
    labels: Sequence[Any], logits: Sequence[Any]
) -> None:
    """Raises unless `y_true` has a label for each row of `y_pred`."""
    if len(labels) != 1 and (len(labels) != 2 or labels[1] != 1):
        raise ValueError(
            "`y_true` must be integer labels of shape (batch,) or (batch, 1). "
            f"Received: y_true.shape={tuple(labels)}."
        )
    if len(logits) != 2:
        raise ValueError(
            "`y_pred` must be logits of shape (batch, classes). Received: "
            f"y_pred.shape={tuple(logits)}."
        )


def check_keras_3(name: str, value: Any) -> None:
    """Raises for a model or a layer of `tf_keras`."""
    kind = type(value)
    if any(base.__module__.split(".")[0] == "tf_keras" for base in kind.mro()):
        raise ValueError(
            f"`{name}` must be made by Keras 3, by `import keras`; Keras 2 "
            "and its package `tf_keras` are another library. Build it anew, "
            "and copy the weights with `get_weights` and `set_weights`. "
            f"Received: {name} of type {kind.__module__}.{kind.__name__}."
        )

"""Checks of kernels: their shapes, axes and groups."""

import operator
from collections.abc import Sequence
from typing import Any

from keras_mhe._validation._values import is_integer


def shape_of_kernel(shape: Any) -> tuple[int, ...]:
    """Returns a shape as a tuple, or raises for anything else."""
    is_sequence = isinstance(shape, list | tuple)
    if not is_sequence or not all(is_integer(size) for size in shape):
        raise ValueError(
            "`shape` must be a tuple of integers, the shape of a kernel. "
            f"Received: shape={shape!r}."
        )
    return tuple(map(int, shape))


def axes(value: Any, name: str = "neuron_axis") -> int | tuple[int, ...]:
    """Returns axes as an int or a non-empty tuple of ints.

    Lists are accepted, because JSON configurations turn tuples into lists.
    """
    try:
        if isinstance(value, list | tuple) and len(value) > 0:
            return tuple(_axis(axis) for axis in value)
        return _axis(value)
    except TypeError:
        raise ValueError(
            f"`{name}` must be an integer or a non-empty tuple of integers. "
            f"Received: {name}={value!r}."
        ) from None


def axes_config(value: int | tuple[int, ...]) -> int | list[int]:
    """Returns checked axes as JSON holds them."""
    return value if isinstance(value, int) else list(value)


def _axis(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


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


def length_of_vector(name: str, shape: Sequence[Any], length: Any) -> None:
    """Raises unless a singular vector has the length of its side of `W`."""
    if tuple(shape) != (length,):
        raise ValueError(
            f"`{name}` must have the shape ({length},), that side of the "
            f"kernel. Received: {name}.shape={tuple(shape)}."
        )

"""Checks of single arguments: numbers, names, switches."""

import math
import numbers
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

DISTANCES = ("euclidean", "angular")


def is_real(value: Any) -> bool:
    """Returns whether `value` is a real number and no bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_integer(value: Any) -> bool:
    """Returns whether `value` is an integer and no bool."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _reject(name: str, value: Any, expected: str) -> NoReturn:
    raise ValueError(
        f"`{name}` must be {expected}. Received: {name}={value!r}."
    )


def non_negative_real(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises if it is not a real >= 0."""
    if not is_real(value) or not math.isfinite(value) or value < 0:
        _reject(name, value, "a finite real number >= 0")
    return float(value)


def real(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises if it is NaN or no real."""
    if not is_real(value) or math.isnan(value):
        _reject(name, value, "a real number")
    return float(value)


def finite_real(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises if it is not finite."""
    if not is_real(value) or not math.isfinite(value):
        _reject(name, value, "a finite real number")
    return float(value)


def real_in_range(name: str, value: Any, low: float, high: float) -> float:
    """Returns `value` as a float, or raises if it is not in [low, high]."""
    if not is_real(value) or not low <= value <= high:
        _reject(name, value, f"a real number in [{low:g}, {high:g}]")
    return float(value)


def share(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises if it is not in (0, 1)."""
    if not is_real(value) or not 0 < value < 1:
        _reject(name, value, "a real number in (0, 1)")
    return float(value)


def positive_share(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises if it is not in (0, 1]."""
    if not is_real(value) or not 0 < value <= 1:
        _reject(name, value, "a real number in (0, 1]")
    return float(value)


def positive_real(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises if it is not a real > 0."""
    if not is_real(value) or not math.isfinite(value) or value <= 0:
        _reject(name, value, "a finite real number > 0")
    return float(value)


def precision(value: Any) -> float:
    """Returns the precision of a Gaussian, or raises if not in (0, 20].

    float32 holds `exp(-4 * 20)`, the potential of opposite vectors.
    """
    if not is_real(value) or not 0 < value <= 20:
        _reject("precision", value, "a real number in (0, 20]")
    return float(value)


def positive_integer(name: str, value: Any) -> int:
    """Returns `value` as an int, or raises if it is not an integer >= 1."""
    return integer_at_least(name, value, 1)


def integer_at_least(name: str, value: Any, low: int) -> int:
    """Returns `value` as an int, or raises if it is not an integer >= low."""
    if not is_integer(value) or value < low:
        _reject(name, value, f"an integer >= {low}")
    return int(value)


def integer_in_range(name: str, value: Any, low: int, high: int) -> int:
    """Returns `value` as an int, or raises if it is not in [low, high]."""
    if not is_integer(value) or not low <= value <= high:
        _reject(name, value, f"an integer in [{low}, {high}]")
    return int(value)


def non_negative_integer(name: str, value: Any) -> int:
    """Returns `value` as an int, or raises if it is not an integer >= 0."""
    return integer_at_least(name, value, 0)


def choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Returns `value`, or raises if it is not one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        expected = ", ".join(repr(option) for option in choices)
        _reject(name, value, f"one of {expected}")
    return value


def names(name: str, value: Any) -> list[str] | None:
    """Returns `None` or a list of names, or raises if it is neither."""
    if value is None:
        return None
    is_list = isinstance(value, list | tuple) and len(value) > 0
    if not is_list or not all(isinstance(entry, str) for entry in value):
        _reject(name, value, "None or a non-empty sequence of names")
    return list(value)


def boolean(name: str, value: Any) -> bool:
    """Returns `value` as a bool, or raises if it is anything else."""
    if not isinstance(value, bool | np.bool_):
        _reject(name, value, "True or False")
    return bool(value)


def block_size(value: Any) -> int | str:
    """Returns a valid `block_size`: `"auto"` or an integer >= 1."""
    if isinstance(value, str) and value == "auto":
        return value
    if not is_integer(value) or value < 1:
        _reject("block_size", value, "'auto' or an integer >= 1")
    return int(value)


def length_or_initializer(lengths: Any) -> float:
    """Returns a length as a float, or raises if it is not a real > 0."""
    if not is_real(lengths) or not math.isfinite(lengths) or lengths <= 0:
        _reject(
            "lengths",
            lengths,
            "a finite real number > 0, a Keras initializer or its name",
        )
    return float(lengths)


def not_of_keras_2(name: str, value: Any) -> None:
    """Raises for a model or a layer of `tf_keras`."""
    kind = type(value)
    if any(base.__module__.split(".")[0] == "tf_keras" for base in kind.mro()):
        raise ValueError(
            f"`{name}` must be made by Keras 3, by `import keras`; Keras 2 "
            "and its package `tf_keras` are another library. Build it anew, "
            "and copy the weights with `get_weights` and `set_weights`. "
            f"Received: {name} of type {kind.__module__}.{kind.__name__}."
        )

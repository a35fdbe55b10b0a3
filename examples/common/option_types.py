"""Types of command line options, with messages that name what is expected."""

import argparse
from collections.abc import Callable
from typing import Any


def _number(
    convert: Callable[[str], Any],
    accepts: Callable[[Any], bool],
    expected: str,
) -> Callable[[str], Any]:
    """Returns a reader of numbers for argparse.

    Args:
        convert: Makes a number of a text; raises `ValueError`.
        accepts: Whether the number will do; `False` for NaN.
        expected: What it must be, for the message.
    """

    def read(text: str) -> Any:
        try:
            value = convert(text)
        except ValueError:
            value = None
        if value is None or not accepts(value):
            raise argparse.ArgumentTypeError(
                f"must be {expected}. Received: {text!r}."
            )
        return value

    return read


_INFINITE = float("inf")

positive_int = _number(int, lambda n: n >= 1, "an integer >= 1")
several = _number(int, lambda n: n >= 2, "an integer >= 2")
non_negative_int = _number(int, lambda n: n >= 0, "an integer >= 0")
seed = _number(int, lambda n: 0 <= n < 2**31, "an integer from 0 to 2**31 - 1")
positive_float = _number(float, lambda x: 0 < x < _INFINITE, "a number > 0")
non_negative_float = _number(
    float, lambda x: 0 <= x < _INFINITE, "a number >= 0"
)
fraction = _number(
    float, lambda x: 0 <= x < 1, "a number from 0 to less than 1"
)
probability = _number(float, lambda x: 0 <= x <= 1, "a number from 0 to 1")

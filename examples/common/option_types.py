"""Types of command line options, named as argparse shows them."""


def positive_int(text: str) -> int:
    """Reads an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def several(text: str) -> int:
    """Reads an integer of at least 2."""
    value = int(text)
    if value < 2:
        raise ValueError
    return value


def non_negative_int(text: str) -> int:
    """Reads an integer of at least 0."""
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def seed(text: str) -> int:
    """Reads a seed."""
    value = int(text)
    if not 0 <= value < 2**31:
        raise ValueError
    return value


def positive_float(text: str) -> float:
    """Reads a finite number above 0."""
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise ValueError
    return value


def non_negative_float(text: str) -> float:
    """Reads a finite number of at least 0."""
    value = float(text)
    if not 0.0 <= value < float("inf"):
        raise ValueError
    return value


def fraction(text: str) -> float:
    """Reads a float of at least 0 and below 1."""
    value = float(text)
    if not 0.0 <= value < 1.0:
        raise ValueError
    return value


def probability(text: str) -> float:
    """Reads a number from 0 to 1, both included."""
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise ValueError
    return value


# What argparse calls the type in its message.
positive_int.__name__ = "integer >= 1"
several.__name__ = "integer >= 2"
non_negative_int.__name__ = "integer >= 0"
seed.__name__ = "seed (integer from 0 to 2**31 - 1)"
positive_float.__name__ = "number > 0"
non_negative_float.__name__ = "number >= 0"
fraction.__name__ = "number from 0 to less than 1"
probability.__name__ = "number from 0 to 1"

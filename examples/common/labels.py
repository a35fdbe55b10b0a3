"""Numbers in the labels of methods."""


def exact(number: float) -> str:
    """Returns a number as short as it reads back without a change."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)

"""Names and messages from elsewhere, made harmless for where they are shown."""

import re

#: Longer texts are cut.
_LONGEST = 1000

#: What fonts draw as nothing although Unicode counts it as printable.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f"
    "\uffa0\U000e0100-\U000e01ef]"
)

#: Where a spreadsheet would begin a formula: at the start of a cell, or of
#: what it takes for one if it is told another separator.
_FORMULA = re.compile("(^|[,;|])(?=\\s*[-=+@\uff0d\uff1d\uff0b\uff20])")


def printable(text: str) -> str:
    """Returns a text that does nothing but stand where it is shown.

    Names in a file from elsewhere may hold anything. Codes for a terminal,
    ends of lines, marks that turn the direction of writing, halves of
    characters and what cannot be seen become `?`, and the end of a very long
    text is left out.
    """
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 3]}..."
    return _INVISIBLE.sub(
        "?", "".join(c if c.isprintable() else "?" for c in text)
    )


def in_spreadsheet(text: str) -> str:
    """Returns the printable text as a cell that no spreadsheet runs.

    Where a formula would begin there is an apostrophe before it.
    """
    return _FORMULA.sub(r"\1'", printable(text))


def in_picture(text: str) -> str:
    """Returns the printable text without formulas of matplotlib."""
    return printable(text).replace("$", r"\$")

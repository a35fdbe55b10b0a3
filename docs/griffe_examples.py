"""Extension of griffe, which reads the docstrings for the API pages.

Griffe knows the section `Examples:` only; Keras' docstrings, and ours, have
`Example:`. Without this its code would be shown as text.
"""

import re
from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Names the section `Example:` as griffe expects it."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Renames the section in one docstring."""
        if obj.docstring:
            obj.docstring.value = re.sub(
                r"^Example:$", "Examples:", obj.docstring.value, flags=re.M
            )

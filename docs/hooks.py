"""Hook of the documentation site: each public name stands on an API page.

A name is public if the `__all__` of `keras_mhe` or of one of its subpackages
holds it. A strict build fails on the warning.
"""

import ast
import logging
import re
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1] / "keras_mhe"

log = logging.getLogger("mkdocs.hooks.public_names")
documented: set[str] = set()


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """Collects what the rendered API page documents."""
    if page.url.startswith("api/"):
        documented.update(re.findall(r'\bid="([\w.]+)"', output))
    return output


def on_post_build(**_: Any) -> None:
    """Warns of each public name that no API page documents."""
    for name in public_names(PACKAGE):
        if name not in documented:
            log.warning("No page under docs/api/ documents '%s'.", name)


def public_names(package: Path) -> list[str]:
    """Returns the full names in each public `__all__` below a package."""
    names = []
    for path in sorted(package.rglob("__init__.py")):
        parts = path.parent.relative_to(package.parent).parts
        if any(part.startswith("_") for part in parts):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == "__all__"
                for target in node.targets
            ):
                listed = ast.literal_eval(node.value)
                names += [".".join([*parts, name]) for name in listed]
    return names

"""Files of a run, written so that a kill never leaves half of one."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file under another name beside `path`, then moves it there.

    Args:
        path: The file to make or replace. Its folder is made too.
        write: Called with a path of the same ending to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".unfinished.{path.name}")
    write(unfinished)
    os.replace(unfinished, path)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically, indented, with a final newline."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda place: place.write_text(text))


def read_json(path: Path) -> Any | None:
    """Returns the content of a JSON file, `None` if there is no file."""
    return json.loads(path.read_text()) if path.exists() else None


def versions() -> dict[str, str]:
    """Returns the versions that a result depends on."""
    backend = keras.backend.backend()
    packages = {"tensorflow": ("tensorflow", "tensorflow-cpu")}
    found = {
        "python": platform.python_version(),
        "keras_backend": backend,
        "machine": platform.platform(),
    }
    names = ("keras-mhe", "keras", "numpy", *packages.get(backend, (backend,)))
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found

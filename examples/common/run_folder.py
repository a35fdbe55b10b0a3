"""Files of a run, written so that a kill never leaves half of one."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

CONFIGURATION = "configuration.json"


class RunError(Exception):
    """A run cannot be started or continued; one line says what to do."""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file under another name beside `path`, then moves it there.

    The other name has the process' number, so that several may write the same
    file. `claim` removes what a killed one left behind.

    Args:
        path: The file to make or replace. Its folder is made too.
        write: Called with a path of the same ending to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".unfinished.{os.getpid()}.{path.name}")
    try:
        write(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically, indented, with a final newline."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda place: place.write_text(text))


def read_json(path: Path) -> Any | None:
    """Returns the content of a JSON file, `None` if there is no file.

    Raises:
        RunError: If the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise RunError(
            f"{path} is damaged ({error}). Remove it, and what it belongs to "
            "is made again."
        ) from error


def versions(*more: str) -> dict[str, str]:
    """Returns the versions that a result depends on, of `more` packages too."""
    backend = keras.backend.backend()
    packages = {"tensorflow": ("tensorflow", "tensorflow-cpu")}
    found = {
        "python": platform.python_version(),
        "keras_backend": backend,
        "machine": platform.platform(),
    }
    names = ("keras-mhe", "keras", "numpy", *packages.get(backend, (backend,)))
    for name in (*names, *more):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def claim(
    folder: Path, run: dict[str, Any], *, any_backend: bool = False
) -> None:
    """Writes a run's configuration, or checks that the folder has the same.

    One process at a time works in a run's folder.

    Args:
        folder: The run's folder, new or of the same run.
        run: What determines the result of the run; JSON values.
        any_backend: Whether the run of another backend is accepted, for one
            that is finished.

    Raises:
        RunError: If the folder holds a run with another configuration, or
            of another backend.
    """
    for left_behind in folder.rglob(".unfinished.*"):
        left_behind.unlink(missing_ok=True)
    configuration = {"run": run, "versions": versions()}
    found = read_json(folder / CONFIGURATION)
    if found is None:
        write_json(folder / CONFIGURATION, configuration)
        return
    wanted = _flat(json.loads(json.dumps(run)))
    there = _flat(found["run"])
    if not any_backend:
        for settings, source in ((wanted, configuration), (there, found)):
            settings["keras_backend"] = source["versions"]["keras_backend"]
    for name in wanted:
        if wanted[name] != there.get(name):
            raise RunError(
                f"{folder} holds a run with {name}={there.get(name)!r}, now "
                f"{name}={wanted[name]!r}: choose another --output, or remove "
                "that folder to start again."
            )


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested settings under names like `recipe.steps`."""
    flat = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat

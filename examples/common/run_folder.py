"""Files of a run, written so that a kill never leaves half of one."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

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


def write_text(path: Path, text: str) -> None:
    """Writes text atomically."""
    write_atomically(path, lambda place: place.write_text(text))


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically, indented, with a final newline."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_arrays(path: Path, /, **arrays: np.ndarray) -> None:
    """Writes arrays atomically in the NPZ format, whatever the ending."""

    def write(place: Path) -> None:
        # NumPy would append an ending to a path.
        with place.open("wb") as file:
            np.savez(file, **arrays)

    write_atomically(path, write)


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
    import keras  # Slow, and starts a framework: only if really needed.

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
            of another backend, or no run but other files.
    """
    configuration = {"run": run, "versions": versions()}
    found = read_json(folder / CONFIGURATION)
    if found is None and not _has_files(folder):
        write_json(folder / CONFIGURATION, configuration)
    elif not _is_configuration(found):
        raise RunError(
            f"{folder} holds files of something else: choose another --output"
        )
    else:
        _check_same(folder, found, configuration, any_backend)
    for left_behind in folder.rglob(".unfinished.*"):
        left_behind.unlink(missing_ok=True)


def _has_files(folder: Path) -> bool:
    """Whether visible files are directly in a folder."""
    return any(
        path.is_file() and not path.name.startswith(".")
        for path in folder.glob("*")
    )


def _is_configuration(content: Any) -> bool:
    return isinstance(content, dict) and all(
        isinstance(content.get(name), dict) for name in ("run", "versions")
    )


def _check_same(
    folder: Path,
    found: dict[str, Any],
    configuration: dict[str, Any],
    any_backend: bool,
) -> None:
    """Raises `RunError` for the first setting that differs."""
    there, wanted = (
        _flat(json.loads(json.dumps(content["run"])))
        for content in (found, configuration)
    )
    if not any_backend:
        for settings, source in ((wanted, configuration), (there, found)):
            backend = source["versions"].get("keras_backend")
            settings["keras_backend"] = backend
    # A part that is `None` in one of them has names in the other alone.
    for name in wanted | there:
        before, now = there.get(name), wanted.get(name)
        if before != now:
            raise RunError(
                f"{folder} holds a run with {name}={before!r}, now "
                f"{name}={now!r}: choose another --output, or remove that "
                "folder to start again."
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

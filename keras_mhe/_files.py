"""Files that are whole or not there."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Writes a file under another name beside it, then moves it there.

    A link stays a link, and what is no regular file, such as `/dev/stdout`,
    is written to as it is.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    unfinished = path.with_name(f".unfinished.{os.getpid()}.{path.name}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def is_same_file(first: Path, second: Path) -> bool:
    """Whether two paths name one file, through whatever links."""
    try:
        return first.samefile(second)
    except OSError:  # One of them is not there yet.
        return os.path.realpath(first) == os.path.realpath(second)

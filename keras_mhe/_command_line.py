"""The command `keras-mhe`, or `python -m keras_mhe`: looks at models."""

import argparse
import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from keras_mhe._command_parser import parser
from keras_mhe._figure import require_matplotlib
from keras_mhe._files import is_same_file, write_text
from keras_mhe._model_files import (
    ModelFileError,
    check_model_file,
    first_line,
    is_of_keras_2,
    load_model,
)
from keras_mhe._text import printable
from keras_mhe.analysis import Audit, KernelAudit, audit

#: Exit code of whatever cannot be done.
FAILED = 2
#: Exit code of an audit that found a gap above the limit, or dead neurons. Not
#: 1, with which Python ends where a backend is missing.
ABOVE = 3


class CommandError(Exception):
    """What is told in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Without the name of the command; `None` for the process's.

    Returns:
        The exit code: 0, 3 if a gap is above `--fail-above` or neurons are
        dead, 2 for an error.
    """
    options = parser().parse_args(arguments)
    try:
        return _audit(options)
    except CommandError as error:
        _tell(str(error))
    except OSError as error:
        _tell(f"{error}.")
    return FAILED


def _tell(line: str) -> None:
    """Prints a line to standard error, if that takes one."""
    with contextlib.suppress(OSError):
        print(f"keras-mhe: {printable(line)}", file=sys.stderr)


def _audit(options: argparse.Namespace) -> int:
    version = _checked_version(options.model)
    _check_targets(options)
    if options.modules:
        sys.path.insert(0, str(Path.cwd()))
    for name in options.modules:
        _import(name)
    if options.html is not None:
        try:
            require_matplotlib()
        except ImportError as error:
            raise CommandError(f"{error}.") from error
    found = _audit_of(options, version)
    if options.csv is not None:
        with _writing_to(options.csv):
            write_text(options.csv, found.to_csv())
    if options.html is not None:
        with _writing_to(options.html):
            title = f"Audit of {options.model.name}"
            found.to_html(options.html, title=title)
    code = 0
    if options.fail_above is not None:
        code = _exit_code(found, options.fail_above, options.allow_dead)
    _print(str(found))
    return code


def _checked_version(model: Path) -> str:
    try:
        return check_model_file(model)
    except ModelFileError as error:
        raise CommandError(f"{model}: {error}.") from error


def _check_targets(options: argparse.Namespace) -> None:
    """Refuses targets before the work, and those that would cost a file."""
    targets = [path for path in (options.html, options.csv) if path is not None]
    for target in targets:
        if target.is_dir():
            raise CommandError(f"{target}: a folder, not a file to write.")
        if not target.parent.is_dir():
            raise CommandError(f"{target}: its folder does not exist.")
    for first, second in combinations([options.model, *targets], 2):
        if is_same_file(first, second):
            raise CommandError(
                f"{second}: the same file as {first}, which it would replace."
            )


@contextlib.contextmanager
def _writing_to(target: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise CommandError(f"{target}: not written ({reason}).") from error


def _print(text: str) -> None:
    """Prints to standard output, without what its encoding does not have."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "replace").decode(encoding), flush=True)
    except OSError as error:
        # Python would complain once more when it closes the stream at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # What reads a closed pipe has enough.
        if not isinstance(error, BrokenPipeError):
            raise CommandError(
                f"standard output: not written ({error.strerror})."
            ) from error


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:
        # A module may raise whatever it likes.
        raise CommandError(f"--import {name}: {first_line(error)}.") from error


def _audit_of(options: argparse.Namespace, version: str) -> Audit:
    try:
        with warnings.catch_warnings(record=True) as caught:
            model = load_model(options.model, version)
        found = audit(
            model,
            power=options.power,
            distance=options.distance,
            half_space=options.half_space,
            layers=options.layers,
        )
    except ModelFileError as error:
        raise CommandError(f"{options.model}: {error}.") from error
    except ValueError as error:
        raise CommandError(f"{options.model}: {first_line(error)}.") from error
    # Warnings of Keras hold names from the file.
    for warning in caught:
        _tell(f"{options.model}: {first_line(warning.message)}.")
    if is_of_keras_2(version):
        _tell(f"{options.model}: of Keras 2 (tf_keras {version}).")
    return found


def _exit_code(audit: Audit, limit: float, allow_dead: bool) -> int:
    if not any(row.has_gap for row in audit):
        raise CommandError("--fail-above: no layer can have a gap here.")
    bad = [
        f"{row.layer}: {fault}"
        for row in audit
        for fault in _faults(row, limit, allow_dead)
    ]
    for line in bad:
        _tell(line)
    return ABOVE if bad else 0


def _faults(row: KernelAudit, limit: float, allow_dead: bool) -> Iterator[str]:
    if row.dead and not allow_dead:
        count = row.num_neurons * row.groups
        verb = "is" if row.dead == 1 else "are"
        yield f"{row.dead} of {count} neurons {verb} dead"
    if row.has_gap and not (row.gap <= limit or row.has_few_living):
        yield f"gap {row.gap:.3f}, not at most {limit:g}"

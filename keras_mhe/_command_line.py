"""The command `keras-mhe`: looks at saved models."""

import argparse
import importlib
import math
import os
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras

import keras_mhe
from keras_mhe import _validation
from keras_mhe._files import write_text
from keras_mhe.analysis import Audit, audit
from keras_mhe.analysis._table import printable
from keras_mhe.plots._figure import require_matplotlib
from keras_mhe.reports import write_report

#: Exit code of whatever cannot be done.
FAILED = 2
#: Exit code of an audit that found a gap above the limit. Not 1, with which
#: Python ends where a backend is missing.
ABOVE = 3

_PARTS = {"config.json", "metadata.json", "model.weights.h5"}


class CommandError(Exception):
    """What is told in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Without the name of the command; `None` for the process's.

    Returns:
        The exit code: 0, 3 if a gap is above `--fail-above`, 2 for an error.
    """
    options = _parser().parse_args(arguments)
    try:
        return _audit(options)
    except CommandError as error:
        print(f"keras-mhe: {error}", file=sys.stderr)
        return FAILED


def _finite(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(
            f"must be a finite number. Received: {text!r}."
        )
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-mhe",
        description="Hyperspherical energy of the neurons of Keras models.",
    )
    parser.add_argument(
        "--version", action="version", version=keras_mhe.__version__
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "audit",
        help="tell for each layer how diverse its neurons are",
        description="Tells for each layer of a saved model how diverse its "
        "neurons are. KERAS_BACKEND picks the backend.",
        epilog="Exit code: 0; 2 for an error; 3 if a gap is above "
        "--fail-above; 1 if Keras cannot start its backend.",
        allow_abbrev=False,
    )
    command.add_argument("model", metavar="MODEL.keras", type=Path)
    command.add_argument(
        "--power",
        type=float,
        default=2.0,
        help="of the energy; 0 is the logarithm (default: 2)",
    )
    command.add_argument(
        "--distance",
        choices=_validation.DISTANCES,
        default="euclidean",
        help="of the energy (default: euclidean)",
    )
    command.add_argument(
        "--half-space",
        "--half_space",
        action="store_true",
        help="opposite neurons count as equal ones",
    )
    command.add_argument(
        "--layers",
        action="append",
        metavar="NAME",
        help="a layer, or a layer or model that contains it, with * for any "
        "text; may be repeated (default: all)",
    )
    command.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page with pictures"
    )
    command.add_argument(
        "--csv", type=Path, metavar="FILE", help="write the table"
    )
    command.add_argument(
        "--fail-above",
        "--fail_above",
        type=_finite,
        metavar="GAP",
        help="fail if one of the layers has a larger gap, or neurons that are "
        "not finite; layers without a gap are ignored",
    )
    command.add_argument(
        "--import",
        dest="modules",
        action="append",
        default=[],
        metavar="MODULE",
        help="a Python module, found from the working folder too, that "
        "registers classes of the model; may be repeated",
    )
    return parser


def _audit(options: argparse.Namespace) -> int:
    _check_file(options.model)
    for target in (options.html, options.csv):
        if target is not None and target.is_dir():
            raise CommandError(f"{target}: a folder, not a file to write.")
        if target is not None and not target.parent.is_dir():
            raise CommandError(f"{target}: its folder does not exist.")
    if options.modules:
        sys.path.insert(0, str(Path.cwd()))
    for name in options.modules:
        _import(name)
    try:
        if options.html is not None:
            require_matplotlib()
        found = _audit_of(options)
        if options.csv is not None:
            write_text(options.csv, found.to_csv())
        if options.html is not None:
            title = f"Audit of {options.model.name}"
            write_report(found, options.html, title=title)
    except (ImportError, OSError) as error:
        raise CommandError(f"{error}.") from error
    code = _exit_code(found, options.fail_above)
    try:
        print(found, flush=True)
    except BrokenPipeError:
        # What reads it has enough. Python would complain once more when it
        # closes the pipe at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _check_file(path: Path) -> None:
    """Refuses what is no whole model of Keras, before it is loaded."""
    if not path.is_file():
        if path.is_dir():
            raise CommandError(f"{path}: a folder; give the .keras file.")
        raise CommandError(f"{path}: there is no such file.")
    if path.name.endswith(".weights.h5"):
        raise CommandError(
            f"{path}: weights only; give a model, saved by "
            "model.save('NAME.keras')."
        )
    if path.suffix in (".h5", ".hdf5"):
        raise CommandError(
            f"{path}: older formats are not read; load it with Keras and save "
            "it by model.save('NAME.keras')."
        )
    if not zipfile.is_zipfile(path):
        raise CommandError(
            f"{path}: not a model in Keras' format, or damaged; save it by "
            "model.save('NAME.keras')."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            missing = sorted(_PARTS - set(archive.namelist()))
            damaged = archive.testzip()
    except Exception as error:
        # Of the packed bytes: zlib's and others beside those of zipfile.
        raise CommandError(f"{path}: damaged ({error}).") from error
    if missing:
        raise CommandError(f"{path}: no model of Keras, without {missing[0]}.")
    if damaged is not None:
        raise CommandError(f"{path}: damaged, {damaged} is not whole.")


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:
        # A module may raise whatever it likes.
        raise CommandError(f"--import {name}: {_first_line(error)}.") from error


def _audit_of(options: argparse.Namespace) -> Audit:
    try:
        model = keras.models.load_model(
            options.model, compile=False, safe_mode=True
        )
    except Exception as error:
        # Keras raises whatever the classes in the file raise.
        raise CommandError(f"{options.model}: {_why(error)}.") from error
    try:
        return audit(
            model,
            power=options.power,
            distance=options.distance,
            half_space=options.half_space,
            layers=options.layers,
        )
    except ValueError as error:
        raise CommandError(f"{options.model}: {_first_line(error)}.") from error


def _why(error: Exception) -> str:
    """What to do about a model that Keras does not load."""
    text = str(error)
    if "Lambda" in text or "lambda" in text:
        return (
            "not loaded, because it holds code (a Lambda layer), which would "
            "run"
        )
    missing = re.search(r"Could not locate (\w+) '(\w+)'", text)
    if missing is not None:
        return f"{missing[1]} '{missing[2]}' is not known: --import MODULE"
    return f"Keras does not load it ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _exit_code(audit: Audit, limit: float | None) -> int:
    if limit is None:
        return 0
    if not any(row.has_gap for row in audit):
        raise CommandError("--fail-above: no layer can have a gap here.")
    bad = [row for row in audit if row.has_gap and not row.gap <= limit]
    for row in bad:
        print(
            f"keras-mhe: {printable(row.layer)}: gap {row.gap:.3f}, not at "
            f"most {limit:g}",
            file=sys.stderr,
        )
    return ABOVE if bad else 0

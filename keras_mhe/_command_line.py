"""The command `keras-mhe`: looks at saved models."""

import argparse
import importlib
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Exit code of an audit that found a gap above the limit.
ABOVE = 1
#: Exit code of whatever cannot be done.
FAILED = 2

_PARTS = {"config.json", "metadata.json", "model.weights.h5"}


class CommandError(Exception):
    """What is told in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Without the name of the command; `None` for the process's.

    Returns:
        The exit code: 0, 1 if a gap is above `--fail-above`, 2 for an error.
    """
    options = _parser().parse_args(arguments)
    try:
        return _audit(options)
    except CommandError as error:
        print(f"keras-mhe: {error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-mhe",
        description="Hyperspherical energy of the neurons of Keras models.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    audit = commands.add_parser(
        "audit",
        help="tell for each layer how diverse its neurons are",
        description="Tells for each layer of a saved model how diverse its "
        "neurons are. KERAS_BACKEND picks the backend.",
        epilog="Exit code: 0; 1 if a gap is above --fail-above; 2 for an "
        "error.",
    )
    audit.add_argument("model", metavar="MODEL.keras", type=Path)
    audit.add_argument("--power", type=float, default=2.0, help="default 2")
    audit.add_argument(
        "--distance", choices=("euclidean", "angular"), default="euclidean"
    )
    audit.add_argument("--half_space", "--half-space", action="store_true")
    audit.add_argument(
        "--layers",
        nargs="+",
        metavar="NAME",
        help="layers, or what holds them, with * for any text",
    )
    audit.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page with pictures"
    )
    audit.add_argument(
        "--csv", type=Path, metavar="FILE", help="write the table"
    )
    audit.add_argument(
        "--fail_above",
        "--fail-above",
        type=float,
        metavar="GAP",
        help="fail if a layer has a larger gap, or neurons that are not "
        "finite; layers that can have no gap are not asked",
    )
    audit.add_argument(
        "--import",
        dest="modules",
        nargs="+",
        default=[],
        metavar="MODULE",
        help="Python modules that register the model's own classes",
    )
    return parser


def _audit(options: argparse.Namespace) -> int:
    _check_file(options.model)
    for name in options.modules:
        _import(name)
    # Late, because Keras and its backend take seconds to load.
    from keras_mhe._files import write_text
    from keras_mhe.reports import write_report

    audit = _audit_of(options)
    print(audit)
    try:
        if options.csv is not None:
            write_text(options.csv, audit.to_csv())
        if options.html is not None:
            title = f"Audit of {options.model.name}"
            write_report(audit, options.html, title=title)
    except (ImportError, OSError) as error:
        raise CommandError(f"{error}.") from error
    return _exit_code(audit, options.fail_above)


def _check_file(path: Path) -> None:
    """Refuses what is no whole model of Keras, before it is loaded."""
    if not path.is_file():
        raise CommandError(f"{path}: there is no such file.")
    if not zipfile.is_zipfile(path):
        raise CommandError(
            f"{path}: not a model in Keras' format, or damaged; save it by "
            "model.save('NAME.keras')."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            missing = sorted(_PARTS - set(archive.namelist()))
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise CommandError(f"{path}: damaged ({error}).") from error
    if missing:
        raise CommandError(f"{path}: no model of Keras, without {missing[0]}.")
    if damaged is not None:
        raise CommandError(f"{path}: damaged, {damaged} is not whole.")


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise CommandError(f"--import {name}: {error}.") from error


def _audit_of(options: argparse.Namespace) -> Any:
    import keras

    import keras_mhe

    try:
        model = keras.models.load_model(
            options.model, compile=False, safe_mode=True
        )
    except Exception as error:
        # Keras raises whatever the classes in the file raise.
        raise CommandError(
            f"{options.model}: Keras does not load it "
            f"({_first_line(error)}). Classes of your own: --import MODULE. "
            "Models with a Lambda layer are not loaded, because they run code "
            "from the file."
        ) from error
    try:
        return keras_mhe.audit(
            model,
            power=options.power,
            distance=options.distance,
            half_space=options.half_space,
            layers=options.layers,
        )
    except ValueError as error:
        raise CommandError(f"{options.model}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _exit_code(audit: Any, limit: float | None) -> int:
    if limit is None:
        return 0
    bad = [row for row in audit if row.has_gap and not row.gap <= limit]
    for row in bad:
        print(
            f"keras-mhe: {row.layer}: gap {row.gap:.3f}, not at most {limit:g}",
            file=sys.stderr,
        )
    return ABOVE if bad else 0

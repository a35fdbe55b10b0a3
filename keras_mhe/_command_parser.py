"""Arguments of the command `keras-mhe`."""

import argparse
import math
from pathlib import Path
from typing import NoReturn

import keras_mhe
from keras_mhe._text import printable
from keras_mhe._validation import DISTANCES


class _Parser(argparse.ArgumentParser):
    """Its errors repeat arguments, which may be names of strange files."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


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


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    program = _Parser(
        prog="keras-mhe",
        description="Hyperspherical energy of the neurons of Keras models.",
    )
    program.add_argument(
        "--version", action="version", version=keras_mhe.__version__
    )
    commands = program.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "audit",
        help="tell for each layer how diverse its neurons are",
        description="Tells for each layer of a saved model how diverse its "
        "neurons are. KERAS_BACKEND picks the backend.",
        epilog="Exit code: 0; 2 for an error; 3 if --fail-above is given and "
        "a gap is above it or neurons are dead; 1 if Keras cannot start its "
        "backend.",
        allow_abbrev=False,
    )
    command.add_argument("model", metavar="MODEL.keras", type=Path)
    own = "(default: each layer's own, see the column form)"
    command.add_argument(
        "--power",
        type=float,
        help=f"of the energy; 0 is the logarithm {own}",
    )
    command.add_argument(
        "--distance",
        choices=DISTANCES,
        help=f"of the energy {own}",
    )
    space = command.add_mutually_exclusive_group()
    space.add_argument(
        "--half-space",
        "--half_space",
        action="store_true",
        default=None,
        help=f"opposite neurons count as equal ones {own}",
    )
    space.add_argument(
        "--full-space",
        "--full_space",
        dest="half_space",
        action="store_false",
        default=None,
        help="opposite neurons are as different as can be",
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
        "not finite or dead; layers that can have no gap are not asked for one",
    )
    command.add_argument(
        "--allow-dead",
        "--allow_dead",
        action="store_true",
        help="let dead neurons pass, and layers without a gap because of them",
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
    return program

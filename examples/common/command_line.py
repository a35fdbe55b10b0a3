"""What the command lines of several programs have in common."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from common import option_types

#: End of the help of an option that stands in the recipe.
BY_RECIPE = "(default: by recipe)"


def program_parser(description: str) -> argparse.ArgumentParser:
    """Returns a parser that shows its description as it is written."""
    return argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def read_by(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Returns an option's type from a function that raises `ValueError`."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def table_of_recipes(
    recipes: Mapping[str, Any], columns: Mapping[str, str]
) -> str:
    """Returns a table for `--help`, a line for each recipe.

    Args:
        recipes: The recipes by the names of the lines.
        columns: For each title the attribute that stands below, as
            `training.learning_rate`.
    """
    rows = [("", *columns)]
    for name, recipe in recipes.items():
        cells = [attrgetter(path)(recipe) for path in columns.values()]
        rows.append((name, *map(str, cells)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells in rows:
        padded = map(str.rjust, cells, widths[1:])
        lines.append("  ".join(["", name.ljust(widths[0]), *padded]))
    return "\n".join(lines)


def add_length(group: Any, of: str = "") -> None:
    """Adds `--epochs` and `--steps`, of which one may be given.

    Args:
        group: Where.
        of: Says of which training, if there are several.
    """
    length = group.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs",
        type=option_types.positive_int,
        help=f"passes over the training images{of} {BY_RECIPE}",
    )
    length.add_argument(
        "--steps",
        type=option_types.positive_int,
        help=f"training steps{of}, instead of --epochs {BY_RECIPE}",
    )


def add_data_dir(group: Any) -> None:
    """Adds `--data_dir` of the image data sets."""
    group.add_argument(
        "--data_dir",
        type=Path,
        help="file or folder with the data set (default: where it is usually "
        "installed, else keras.datasets)",
    )


def add_comparison(
    parser: argparse.ArgumentParser,
    parse: Callable[[str], Any],
    text: str,
    seeds: Sequence[int],
    *,
    noun: str = "method",
) -> None:
    """Adds `--compare` and `--seeds`.

    Args:
        parser: The parser.
        parse: Reads a method; raises `ValueError` with a message.
        text: Says how methods are written.
        seeds: The seeds if none are given.
        noun: What is compared.
    """
    group = parser.add_argument_group(f"comparison of {noun}s")
    group.add_argument(
        "--compare",
        nargs="+",
        type=read_by(parse),
        metavar=noun.upper(),
        help=f"{text}. Finished runs in --output are kept (default: one run)",
    )
    group.add_argument(
        "--seeds",
        nargs="+",
        type=option_types.seed,
        metavar="SEED",
        help=f"seeds of the runs of each {noun} (default: "
        f"{' '.join(map(str, seeds))})",
    )


def check_comparison(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    seeds: Sequence[int],
) -> None:
    """Exits with a message if methods or seeds repeat, or seeds do nothing.

    Args:
        parser: The parser.
        options: What it read; `options.seeds` gets its default.
        seeds: The seeds if none are given.
    """
    if not options.compare:
        if options.seeds:
            parser.error("--seeds goes with --compare; for one run use --seed")
        return
    options.seeds = options.seeds or list(seeds)
    labels = [method.label for method in options.compare]
    for name, values in (("compare", labels), ("seeds", options.seeds)):
        for value in values:
            if values.count(value) > 1:
                parser.error(f"--{name} names {value} twice")


def refuse(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    names: Sequence[str],
    reason: str,
) -> None:
    """Exits with a message if one of the named options was given."""
    for name in names:
        if getattr(options, name) is not None:
            parser.error(f"--{name} does nothing with {reason}")


def refuse_two_jobs(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    jobs: Sequence[str],
) -> None:
    """Exits with a message if two of the named options were given."""
    given = [f"--{name}" for name in jobs if getattr(options, name)]
    if len(given) > 1:
        parser.error(f"{' and '.join(given)} are two jobs: give one")


def check_ending(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    job: str,
    ending: str,
) -> None:
    """Exits with a message if the file that a job writes ends otherwise."""
    output = options.output
    if getattr(options, job) and output and output.suffix != ending:
        parser.error(f"--output of --{job} must end in {ending}")


def given(options: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Returns those of the named options that were given."""
    values = {name: getattr(options, name) for name in names}
    return {name: v for name, v in values.items() if v is not None}

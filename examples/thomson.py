"""Thomson's problem: points that repel each other on a sphere.

Spreads points by the energy of the library in three ways, from several
starts, and compares the energies with the best that are known:

    KERAS_BACKEND=torch python examples/thomson.py

`--help` lists the options: any dimension, any power, full or half space.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import common.required_packages  # noqa: F401
from common import option_types
from common.program import leave, run_program
from spheres.problem import Problem
from spheres.report import save, table_of
from spheres.spreading import FLOAT32_DIGITS, spread
from spheres.ways import WAYS


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code, 2 for unusable input."""
    options = _parse(arguments)
    return run_program("thomson.py", lambda: _work(options), resumes=False)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Spreads points on a sphere by hyperspherical energy. Set "
        "KERAS_BACKEND to tensorflow, jax or torch.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--points",
        nargs="+",
        type=option_types.several,
        default=[4, 6, 12, 32],
        metavar="N",
        help="numbers of points",
    )
    parser.add_argument(
        "--dim",
        type=option_types.several,
        default=3,
        help="dimension of the space",
    )
    parser.add_argument(
        "--power",
        type=option_types.non_negative_float,
        default=1.0,
        help="of the distance; 0 is the logarithm",
    )
    parser.add_argument(
        "--distance",
        choices=("euclidean", "angular"),
        default="euclidean",
        help="chords, or the angles of points",
    )
    parser.add_argument(
        "--half_space",
        action="store_true",
        help="points repel the opposites of others too, as lines do",
    )
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY",
        help=f"of {', '.join(WAYS)}",
    )  # fmt: skip
    parser.add_argument(
        "--starts",
        type=option_types.positive_int,
        default=4,
        help="random beginnings, of which the lowest end counts",
    )
    parser.add_argument(
        "--steps",
        type=option_types.positive_int,
        default=1000,
        help="steps of each way at most",
    )
    parser.add_argument(
        "--seed",
        type=option_types.seed,
        default=0,
        help="of the random beginnings",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("runs/thomson"), help="a folder"
    )
    return parser.parse_args(arguments)


def _work(options: argparse.Namespace) -> None:
    # A place that cannot be written to is noticed before the work.
    options.output.mkdir(parents=True, exist_ok=True)
    problems = [
        Problem(
            num_points,
            options.dim,
            options.power,
            options.distance,
            options.half_space,
        )
        for num_points in dict.fromkeys(options.points)
    ]
    results = spread(
        problems,
        list(dict.fromkeys(options.ways)),
        starts=options.starts,
        steps=options.steps,
        seed=options.seed,
    )
    table = table_of(results)
    settings = {
        name: getattr(options, name) for name in ("starts", "steps", "seed")
    }
    picture = save(results, table, settings, options.output)
    reached = sum(result.is_reached for result in results)
    print(
        f"\n{table}\n\n{reached} of {len(results)} to {FLOAT32_DIGITS:.0e} in "
        f"every way; picture: {picture}"
    )
    kinds = {result.reference.kind for result in results}
    if "bound" in kinds:
        print("No arrangement goes below a bound, and few reach it.")
    if "simplex" in kinds:
        print(
            "With angles in full space the simplex is something to compare "
            "with, not a bound: points may end below it."
        )


if __name__ == "__main__":
    leave(main())

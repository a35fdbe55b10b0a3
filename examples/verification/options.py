"""Command line of the SphereFace+ program."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import command_line, option_types
from common.command_line import BY_RECIPE
from common.energy_names import POWERS
from verification.methods import (
    ENERGIES,
    MARGINS,
    POWER_S,
    STRENGTH,
    Method,
)
from verification.option_checks import SEEDS, check_options
from verification.recipes import SHORT, Recipe, published_recipe
from verification.training_options import add_training

_DESCRIPTION = """\
SphereFace+ (Liu et al., NeurIPS 2018) in Keras: trains an embedding with an
angular-margin head, first without and then with the minimum hyperspherical
energy of the class vectors, and verifies pairs of identities that it has never
seen. Set KERAS_BACKEND to tensorflow, jax or torch.

Without options it learns the characters of matplotlib's fonts.

What the recipes say, the short ones per data set, the published one for the
default head:

"""
#: Columns of the table of recipes.
_SHOWN = {
    "first training": "pretraining.length",
    "its rate": "pretraining.learning_rate",
    "training": "training.length",
    "rate": "training.learning_rate",
    "batch": "batch_size",
    "network": "network",
    "embedding": "embedding_size",
    "scale": "scale",
    "decay": "weight_decay",
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line; exits with code 2 if it is wrong."""
    recipes = {
        **SHORT,
        "published": published_recipe(Method.head, Method.margin),
    }
    table = command_line.table_of_recipes(recipes, _SHOWN)
    parser = command_line.program_parser(_DESCRIPTION + table)
    _add_method(parser.add_argument_group("head and energy"))
    _add_data(parser.add_argument_group("images"))
    add_training(parser.add_argument_group("training"))
    _add_output(parser.add_argument_group("output"))
    command_line.add_comparison(
        parser,
        Method.parse,
        "HEAD[:MARGIN][+ENERGY[:POWER][@STRENGTH]], for example softmax "
        "arcface:0.5 sphereface:4+batch:2@10. Methods with the same head share "
        "the training without energy",
        SEEDS,
    )
    _add_use(parser.add_argument_group("use of a saved model"))
    options = parser.parse_args(arguments)
    check_options(parser, options)
    return options


def _add_method(group: Any) -> None:
    group.add_argument(
        "--head",
        choices=tuple(MARGINS),
        help="softmax is the normalised softmax (default: sphereface)",
    )
    margins = ", ".join(
        f"{head} {margin:g}"
        for head, margin in MARGINS.items()
        if margin is not None
    )
    group.add_argument(
        "--margin",
        type=option_types.non_negative_float,
        help=f"margin of the head (default: {margins})",
    )
    group.add_argument(
        "--scale",
        type=option_types.positive_float,
        help="scale of the heads with normalised features, all but sphereface "
        f"{BY_RECIPE}",
    )
    group.add_argument(
        "--energy",
        choices=ENERGIES,
        help="batch: the classes of the batch against all, as in the paper; "
        "full: all against all (default: batch)",
    )
    group.add_argument(
        "--power_s",
        choices=POWERS,
        help="power of the energy, of angles for a0, a1, a2 (default: "
        f"{POWER_S})",
    )
    group.add_argument(
        "--strength",
        type=option_types.positive_float,
        help=f"factor of the energy, a mean over pairs (default: {STRENGTH:g})",
    )
    for name, text in (
        ("base", "lambda of SphereFace falls as base (1 + gamma step)^-power"),
        ("gamma", "0.11 with --recipe published for margins 2 and 3"),
        ("power", "as published"),
        ("min", "smallest lambda"),
    ):
        default = getattr(Recipe, f"lambda_{name}")
        group.add_argument(
            f"--lambda_{name}",
            type=option_types.non_negative_float,
            help=f"{text} (default: {default:g})",
        )
    group.add_argument(
        "--feature_norm",
        choices=("none", "hard", "soft"),
        help="feature normalisation of sphereface_r (default: "
        f"{Recipe.feature_norm})",
    )
    group.add_argument(
        "--gradient_detachment",
        action="store_true",
        default=None,
        help="the margin changes the value, not the gradient (default: no)",
    )


def _add_data(group: Any) -> None:
    group.add_argument(
        "--dataset",
        choices=tuple(SHORT),
        default="glyphs",
        help="glyphs: characters of matplotlib's fonts; folders: images of "
        "one size, a folder for each identity (default: %(default)s)",
    )
    group.add_argument(
        "--data_dir",
        type=Path,
        help="the folder with the identities, for --dataset folders (no "
        "default)",
    )
    group.add_argument(
        "--pairs_file",
        type=Path,
        help="pairs to verify, in the format of LFW's pairs.txt (default: "
        "--test_identities are kept from training and paired)",
    )
    group.add_argument(
        "--pairs_dir",
        type=Path,
        help="the folder with the identities that --pairs_file names (no "
        "default)",
    )
    group.add_argument(
        "--test_identities",
        type=option_types.positive_int,
        help="identities to verify instead of to train on, for --dataset "
        "folders without --pairs_file (default: a tenth, at least 20; 22 "
        "identities are needed)",
    )
    group.add_argument(
        "--num_pairs",
        type=option_types.positive_int,
        help="number of drawn pairs in ten folds (default: 6000)",
    )
    group.add_argument(
        "--identities",
        type=option_types.several,
        help="train on so many of the identities (default: all)",
    )
    group.add_argument(
        "--data_seed",
        type=option_types.seed,
        default=0,
        help="seed of the split, of the pairs and of the drawn glyphs "
        "(default: %(default)s)",
    )


def _add_output(group: Any) -> None:
    group.add_argument(
        "--output",
        type=Path,
        help="folder of the run, continued if it holds an unfinished run "
        "(default: runs/DATASET/METHOD_seed_SEED or runs/DATASET/comparison); "
        "with --evaluate and --embed the file to write, .json and .npz",
    )


def _add_use(group: Any) -> None:
    group.add_argument(
        "--evaluate",
        type=Path,
        metavar="MODEL",
        help="verify the pairs of the data set with a saved model (default: "
        "train one)",
    )
    group.add_argument(
        "--embed",
        nargs="+",
        type=Path,
        metavar=("MODEL", "IMAGE"),
        help="write the embeddings of image files, or of all images in "
        "folders, to --output (default: embeddings.npz)",
    )

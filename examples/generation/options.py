"""Command line of the GAN program."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import command_line, option_types
from common.command_line import BY_RECIPE
from common.image_data import DATASETS
from generation.option_checks import RECIPE, SEEDS, check_options
from generation.recipes import PUBLISHED, SHORT, Recipe
from generation.scores import LEAST_IMAGES
from generation.use import GENERATED
from generation.variants import POWERS, VARIANTS, Variant

_DESCRIPTION = """\
The MHE-GAN of Liu et al., NeurIPS 2018, in Keras: trains SN-DCGAN with or
without minimum hyperspherical energy and spectral normalization of the
discriminator, and scores it by TensorFlow-GAN. Set KERAS_BACKEND to
tensorflow, jax or torch.

What the recipes say, the short ones per data set:

"""
#: Columns of the table of recipes.
_SHOWN = {
    "steps": "steps",
    "batch": "batch_size",
    "rate": "learning_rate",
    "width": "width",
    "average": "average",
    "flip": "flip",
    "steps_per_epoch": "steps_per_epoch",
    "snapshots": "snapshots",
    "scored": "scored",
    "parts": "splits",
}
_DATA_SETS = tuple(name for name in DATASETS if name != "cifar100")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line; exits with code 2 if it is wrong."""
    table = command_line.table_of_recipes(
        {**SHORT, "published": PUBLISHED}, _SHOWN
    )
    parser = command_line.program_parser(_DESCRIPTION + table)
    _add_variant(parser.add_argument_group("variant"))
    _add_data(parser.add_argument_group("images"))
    _add_training(parser.add_argument_group("training"))
    _add_output(parser.add_argument_group("output"))
    command_line.add_comparison(
        parser,
        Variant.parse,
        "VARIANT[:SPACE:POWER@STRENGTH], for example baseline sn mhe sn_mhe or "
        "sn_mhe:half:2@0.1; the first is what the others are compared with",
        SEEDS,
        noun="variant",
    )
    _add_use(parser.add_argument_group("use of a trained generator"))
    options = parser.parse_args(arguments)
    check_options(parser, options)
    options.dataset = options.dataset or "digits"
    recipe = recipe_of(options)
    least = max(LEAST_IMAGES, recipe.splits)
    if recipe.scored < least:
        parser.error(f"--scored must be at least {least}")
    return options


def _add_variant(group: Any) -> None:
    group.add_argument(
        "--variant",
        choices=VARIANTS,
        help="energy (mhe) and spectral normalization (sn) of the "
        "discriminator (default: sn_mhe)",
    )
    group.add_argument(
        "--power_s",
        choices=POWERS,
        help="power of the energy, of angles for a0, a1, a2; published: the "
        "program's own term (default: published)",
    )
    group.add_argument(
        "--half_space",
        action="store_true",
        default=None,
        help="the half-space form, for a power that is not the published one "
        "(default: no)",
    )
    group.add_argument(
        "--strength",
        type=option_types.positive_float,
        help="factor of the energy, for a power that is not the published one "
        "(no default)",
    )


def _add_data(group: Any) -> None:
    group.add_argument(
        "--dataset",
        choices=_DATA_SETS,
        help="digits comes with scikit-learn (default: digits)",
    )
    command_line.add_data_dir(group)


def _add_training(group: Any) -> None:
    group.add_argument(
        "--recipe",
        choices=("short", "published"),
        help="published: width, rate, batch and steps of the published "
        "program (default: short)",
    )
    group.add_argument(
        "--steps",
        type=option_types.positive_int,
        help=f"training steps, each an update of both sides {BY_RECIPE}",
    )
    group.add_argument(
        "--batch_size",
        type=option_types.several,
        help=f"real images of a step {BY_RECIPE}",
    )
    group.add_argument(
        "--learning_rate",
        type=option_types.positive_float,
        help=f"of both optimizers {BY_RECIPE}",
    )
    group.add_argument(
        "--average",
        type=option_types.fraction,
        help="momentum of the moving average of the generator's weights, which "
        f"draws the images; 0 for the weights themselves {BY_RECIPE}",
    )
    group.add_argument(
        "--width",
        type=option_types.positive_float,
        help=f"factor of the numbers of filters; 1 is as published {BY_RECIPE}",
    )
    group.add_argument(
        "--steps_per_epoch",
        type=option_types.positive_int,
        help="steps after which curves get a point, a sheet is drawn, "
        f"and a killed run goes on {BY_RECIPE}",
    )
    group.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help=f"mirror real images at random {BY_RECIPE}",
    )
    group.add_argument(
        "--snapshots",
        type=option_types.positive_int,
        help=f"how many times to keep the generator and score it {BY_RECIPE}",
    )
    group.add_argument(
        "--scored",
        type=option_types.several,
        help=f"generated images that each score takes {BY_RECIPE}",
    )
    group.add_argument(
        "--inception",
        type=Path,
        metavar="PATH",
        help="score by Inception: the unpacked folder of TensorFlow-GAN's "
        "module, or Keras' InceptionV3 weights (default: a classifier that is "
        "trained on the data set once)",
    )
    group.add_argument(
        "--scores",
        action=argparse.BooleanOptionalAction,
        help="score the snapshots, which needs the extra gan (default: yes); "
        "the same command scores a run that was trained without",
    )
    group.add_argument(
        "--seed",
        type=option_types.seed,
        help="of weights, order, mirroring and noise (default: 0)",
    )


def _add_output(group: Any) -> None:
    group.add_argument(
        "--output",
        type=Path,
        help="folder of the run, continued if it holds an unfinished run "
        "(default: runs/gan_DATASET/VARIANT_seed_SEED or "
        "runs/gan_DATASET/comparison); for --generate the file to write, .npz "
        f"(default: {GENERATED}), for --evaluate a .json file (default: none)",
    )


def _add_use(group: Any) -> None:
    group.add_argument(
        "--generate",
        nargs=2,
        metavar=("N", "MODEL"),
        help="write N images from a saved generator, as an NPZ file with a "
        "sheet beside it (default: train one)",
    )
    group.add_argument(
        "--evaluate",
        metavar="MODEL",
        help="score a saved generator, or the real images train or test "
        "(default: train one)",
    )


def variant_of(options: argparse.Namespace) -> Variant:
    """Returns the variant of the options for a single run."""
    return Variant(
        options.variant or "sn_mhe",
        options.power_s or "published",
        "half" if options.half_space else "full",
        options.strength,
    )


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Returns the recipe with the options that were given in place."""
    is_published = options.recipe == "published"
    recipe = PUBLISHED if is_published else SHORT[options.dataset]
    return replace(recipe, **command_line.given(options, RECIPE))

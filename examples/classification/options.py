"""Command line of the image classification program."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from classification.methods import MODEL_NAMES, Method
from classification.neuron_terms import (
    CONSTRAINTS,
    INITIALIZERS,
    RELATIVES,
    NeuronTerm,
)
from classification.recipes import PUBLISHED, SHORT, Recipe
from common import command_line, option_types
from common.energy_names import POWERS
from common.image_data import DATASETS

_DESCRIPTION = """\
The CIFAR-100 experiment of Liu et al., NeurIPS 2018, in Keras: trains CNN-9
with or without minimum hyperspherical energy. Set KERAS_BACKEND to
tensorflow, jax or torch.

Without --recipe published the settings are those of short runs, tuned per
data set:

"""
_METHOD = (
    "model_name",
    "power_s",
    "relative",
    "constraint",
    "initializer",
    "seed",
)
_SEEDS = (0, 1, 2)
#: Columns of the table of recipes.
_SHOWN = {
    "length": "length",
    "batch": "batch_size",
    "rate": "learning_rate",
    "decay": "weight_decay",
    "width": "width",
    "augmentation": "augmentation",
    "BN momentum": "batch_norm_momentum",
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line; exits with code 2 if it is wrong."""
    by_recipe = command_line.BY_RECIPE
    table = command_line.table_of_recipes(
        {**SHORT, "published": PUBLISHED}, _SHOWN
    )
    parser = command_line.program_parser(_DESCRIPTION + table)
    method = parser.add_argument_group("method")
    method.add_argument(
        "--model_name",
        choices=MODEL_NAMES,
        help="energy term of the published program (default: half_mhe, or "
        "baseline beside one of the following)",
    )
    method.add_argument(
        "--power_s",
        choices=POWERS,
        help="its power, with angles for a0, a1, a2 (default: 2)",
    )
    for kind, names, number in (
        ("relative", RELATIVES, "STRENGTH"),
        ("constraint", CONSTRAINTS, "NUMBER"),
        ("initializer", INITIALIZERS, None),
    ):
        suffix = f"[:{number}]" if number else ""
        method.add_argument(
            f"--{kind}",
            type=_term_among(names),
            metavar=f"NAME{suffix}",
            help=_help_of(kind, names),
        )
    data = parser.add_argument_group("images")
    data.add_argument(
        "--dataset",
        choices=DATASETS,
        default="digits",
        help="digits comes with scikit-learn (default: %(default)s)",
    )
    command_line.add_data_dir(data)
    data.add_argument(
        "--train_size",
        type=option_types.positive_int,
        help="train on so many images, equally many of each class (default: "
        "all)",
    )
    data.add_argument(
        "--validation_size",
        type=option_types.positive_int,
        help="draw the curves with so many test images; final numbers always "
        "use all of them (default: all)",
    )
    training = parser.add_argument_group("training")
    training.add_argument(
        "--recipe",
        choices=("short", "published"),
        default="short",
        help="published: loss, rate, schedule, batch normalisation, width and "
        "steps of the published program (default: %(default)s)",
    )
    command_line.add_length(training)
    training.add_argument(
        "--batch_size",
        type=option_types.positive_int,
        help=f"images of a step {by_recipe}",
    )
    training.add_argument(
        "--learning_rate",
        type=option_types.positive_float,
        help=f"largest rate of the schedule {by_recipe}",
    )
    training.add_argument(
        "--weight_decay",
        type=option_types.non_negative_float,
        help=f"factor of half the squared norm of all variables {by_recipe}",
    )
    training.add_argument(
        "--width",
        type=option_types.positive_float,
        help="factor of the numbers of filters; 1 is CNN-9 as published "
        f"{by_recipe}",
    )
    training.add_argument(
        "--augmentation",
        choices=("none", "crop", "crop_flip"),
        help=f"random crops, and mirroring, of training images {by_recipe}",
    )
    training.add_argument(
        "--seed",
        type=option_types.seed,
        help="of weights, order, augmentation and drawn images (default: 0)",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output",
        type=Path,
        help="folder of the run, continued if it holds an unfinished run "
        "(default: runs/DATASET/METHOD_seed_SEED or runs/DATASET/comparison)",
    )
    output.add_argument(
        "--tensorboard",
        action="store_true",
        default=None,
        help="write TensorBoard logs too; needs TensorFlow and TensorBoard "
        "(default: no)",
    )
    command_line.add_comparison(
        parser,
        Method.parse,
        "baseline, mhe:POWER, half_mhe:POWER, or a name of --relative, "
        "--constraint or --initializer, or one of each kind joined by +; "
        "@RATE at the end of a method is its learning rate; the first is what "
        "the others are compared with",
        _SEEDS,
    )
    options = parser.parse_args(arguments)
    command_line.check_comparison(parser, options, _SEEDS)
    refuse = partial(command_line.refuse, parser, options)
    if options.dataset == "digits":
        refuse(["data_dir"], "digits, which comes with scikit-learn")
    if options.compare:
        refuse(_METHOD, "--compare, which names methods; seeds are --seeds")
        refuse(["tensorboard"], "--compare")
    elif options.power_s and method_of(options).model_name == "baseline":
        parser.error("--power_s goes with --model_name mhe or half_mhe")
    options.seed = options.seed or 0
    options.tensorboard = bool(options.tensorboard)
    return options


def method_of(options: argparse.Namespace) -> Method:
    """Returns the method of one run."""
    terms = {
        name: getattr(options, name)
        for name in ("relative", "constraint", "initializer")
    }
    others = any(term is not None for term in terms.values())
    model_name = options.model_name or ("baseline" if others else "half_mhe")
    return Method(model_name, options.power_s or "2", **terms)


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Returns the recipe with the options that were given in place."""
    is_published = options.recipe == "published"
    recipe = PUBLISHED if is_published else SHORT[options.dataset]
    names = (
        "batch_size",
        "learning_rate",
        "weight_decay",
        "width",
        "augmentation",
    )
    changes = command_line.given(options, names)
    if options.epochs or options.steps:
        changes |= {"epochs": options.epochs, "steps": options.steps}
    return replace(recipe, **changes)


def _term_among(names: Iterable[str]) -> Callable[[str], NeuronTerm]:
    """Returns a reader of terms with one of the names."""

    def parse(text: str) -> NeuronTerm:
        if text.partition(":")[0] not in names:
            raise ValueError(
                f"must be one of {', '.join(names)}. Received: {text!r}."
            )
        return NeuronTerm.parse(text)

    return command_line.read_by(parse)


def _help_of(kind: str, names: Iterable[str]) -> str:
    shown = ", ".join(NeuronTerm.parse(name).label for name in names)
    what = {
        "relative": "a relative of the energy, ten times as strong for the "
        "classifier; hidden layers in half space, where covering and "
        "polarization do nothing for fewer neurons than dimensions",
        "constraint": "what holds after each step: rate of a descent, largest "
        "energy gap, or length of the neurons",
        "initializer": "where neurons start",
    }[kind]
    return f"{what}: {shown} (default: none)"

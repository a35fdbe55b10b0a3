"""Command line of the SphereFace+ program."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import option_types
from verification.methods import ENERGIES, MARGINS, POWERS, Method
from verification.networks import NETWORKS
from verification.recipes import SHORT, Recipe, Stage, published_recipe

_DESCRIPTION = """\
SphereFace+ (Liu et al., NeurIPS 2018) in Keras: trains an embedding with an
angular-margin head, first without and then with the minimum hyperspherical
energy of the class vectors, and verifies pairs of identities that it has never
seen. Set KERAS_BACKEND to tensorflow, jax or torch.

Without options it learns the characters of matplotlib's fonts."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line; exits with code 2 if it is wrong."""
    parser = argparse.ArgumentParser(
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_method(parser.add_argument_group("head and energy"))
    _add_data(parser.add_argument_group("images"))
    _add_training(parser.add_argument_group("training"))
    _add_output(parser.add_argument_group("output"))
    _add_comparison(parser.add_argument_group("comparison of methods"))
    _add_use(parser.add_argument_group("use of a saved model"))
    options = parser.parse_args(arguments)
    _check(parser, options)
    return options


def method_of(options: argparse.Namespace) -> Method:
    """Returns the method of the options for a single run."""
    margin = options.margin
    method = Method(
        head=options.head,
        margin=MARGINS[options.head] if margin is None else margin,
        energy=options.energy,
    )
    if options.energy == "none":
        return method
    return replace(method, power_s=options.power_s, strength=options.strength)


def recipe_of(options: argparse.Namespace, margin: float | None) -> Recipe:
    """Returns the recipe with the options that were given in place."""
    if options.recipe == "published":
        recipe = published_recipe(margin)
    else:
        recipe = SHORT[options.dataset]
    names = (
        "network",
        "embedding_size",
        "batch_size",
        "weight_decay",
        "mirror",
        "scale",
        "lambda_base",
        "lambda_gamma",
        "lambda_power",
        "lambda_min",
        "feature_norm",
        "gradient_detachment",
    )
    given = {name: getattr(options, name) for name in names}
    changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    recipe = replace(recipe, **changes)
    rate = options.learning_rate
    training = _changed(recipe.training, options.epochs, options.steps, rate)
    pretraining = recipe.pretraining
    if options.pretrained or options.pretrain_epochs == 0:
        pretraining = None
    elif pretraining is not None:
        pretraining = _changed(
            pretraining,
            options.pretrain_epochs,
            None,
            options.pretrain_learning_rate,
        )
    return replace(recipe, training=training, pretraining=pretraining)


def _changed(
    stage: Stage, epochs: int | None, steps: int | None, rate: float | None
) -> Stage:
    if epochs or steps:
        stage = replace(stage, epochs=epochs, steps=steps)
    return stage if rate is None else replace(stage, learning_rate=rate)


def _add_method(group: Any) -> None:
    group.add_argument(
        "--head",
        choices=tuple(MARGINS),
        default="sphereface",
        help="softmax is the normalised softmax (default: %(default)s)",
    )
    group.add_argument(
        "--margin",
        type=option_types.non_negative_float,
        help="default: "
        + ", ".join(f"{k} {v:g}" for k, v in MARGINS.items() if v is not None),
    )
    group.add_argument(
        "--scale",
        type=option_types.positive_float,
        help="scale of the heads with normalised features, all but sphereface "
        "(default: 16 for glyphs, 32 for folders, 64 as published)",
    )
    group.add_argument(
        "--energy",
        choices=ENERGIES,
        default="batch",
        help="batch: the classes of the batch against all, as in the paper; "
        "full: all against all (default: %(default)s)",
    )
    group.add_argument(
        "--power_s",
        choices=POWERS,
        default="2",
        help="power of the energy, of angles for a0, a1, a2 (default: "
        "%(default)s)",
    )
    group.add_argument(
        "--strength",
        type=option_types.positive_float,
        default=10.0,
        help="factor of the energy, a mean over pairs (default: %(default)s)",
    )
    for name, text in (
        ("base", "lambda of SphereFace falls as base (1 + gamma step)^-power"),
        ("gamma", "published: 0.12, for margins 2 and 3 0.11"),
        ("power", "published: 1"),
        ("min", "smallest lambda, published: 5"),
    ):
        group.add_argument(
            f"--lambda_{name}",
            type=option_types.non_negative_float,
            help=text,
        )
    group.add_argument(
        "--feature_norm",
        choices=("none", "hard", "soft"),
        help="feature normalisation of sphereface_r (default: hard)",
    )
    group.add_argument(
        "--gradient_detachment",
        action="store_true",
        default=None,
        help="the margin changes the value, not the gradient",
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
        help="the folder with the identities, for --dataset folders",
    )
    group.add_argument(
        "--pairs_file",
        type=Path,
        help="pairs to verify, in the format of LFW's pairs.txt; without it "
        "--test_identities are kept from training and paired",
    )
    group.add_argument(
        "--pairs_dir",
        type=Path,
        help="the folder with the identities that --pairs_file names",
    )
    group.add_argument(
        "--test_identities",
        type=option_types.positive_int,
        help="identities to verify instead of to train on, for --dataset "
        "folders without --pairs_file (default: a tenth)",
    )
    group.add_argument(
        "--num_pairs",
        type=option_types.positive_int,
        default=6000,
        help="number of drawn pairs in ten folds (default: %(default)s)",
    )
    group.add_argument(
        "--identities",
        type=option_types.positive_int,
        help="train on so many of the identities (default: all)",
    )
    group.add_argument(
        "--data_seed",
        type=option_types.seed,
        default=0,
        help="seed of the split, of the pairs and of the drawn glyphs "
        "(default: %(default)s)",
    )


def _add_training(group: Any) -> None:
    group.add_argument(
        "--recipe",
        choices=("short", "published"),
        default="short",
        help="published: network, rates, steps and batch size of the published "
        "training files (default: %(default)s)",
    )
    group.add_argument("--network", choices=tuple(NETWORKS))
    group.add_argument("--embedding_size", type=option_types.positive_int)
    group.add_argument(
        "--pretrain_epochs",
        type=option_types.non_negative_int,
        help="epochs without energy that come first; 0 for none",
    )
    length = group.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=option_types.positive_int)
    length.add_argument("--steps", type=option_types.positive_int)
    group.add_argument("--batch_size", type=option_types.positive_int)
    group.add_argument("--learning_rate", type=option_types.positive_float)
    group.add_argument(
        "--pretrain_learning_rate", type=option_types.positive_float
    )
    group.add_argument("--weight_decay", type=option_types.non_negative_float)
    group.add_argument(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        help="mirror images at random in training and append the features of "
        "the mirror image in verification (default: for folders)",
    )
    group.add_argument(
        "--pretrained",
        type=Path,
        metavar="MODEL",
        help="begin with this saved model instead of a training without energy",
    )
    group.add_argument("--seed", type=option_types.seed, default=0)


def _add_output(group: Any) -> None:
    group.add_argument(
        "--output",
        type=Path,
        help="folder of the run, continued if it holds an unfinished run "
        "(default: runs/DATASET/METHOD_seed_SEED or runs/DATASET/comparison); "
        "with --evaluate and --embed the file to write",
    )


def _add_comparison(group: Any) -> None:
    group.add_argument(
        "--compare",
        nargs="+",
        type=_method,
        metavar="METHOD",
        help="HEAD[:MARGIN][+ENERGY[:POWER][@STRENGTH]], for example softmax "
        "arcface:0.5 sphereface:4+batch:2@10. Methods with the same head share "
        "the training without energy; finished runs in --output are kept",
    )
    group.add_argument(
        "--seeds",
        nargs="+",
        type=option_types.seed,
        metavar="SEED",
        help="seeds of the runs of each method (default: 0 1 2 3 4)",
    )


def _add_use(group: Any) -> None:
    group.add_argument(
        "--evaluate",
        type=Path,
        metavar="MODEL",
        help="verify the pairs of the data set with a saved model",
    )
    group.add_argument(
        "--embed",
        nargs="+",
        type=Path,
        metavar=("MODEL", "IMAGE"),
        help="write the embeddings of image files, or of all images in "
        "folders, to --output (default: embeddings.npz)",
    )


def _method(text: str) -> Method:
    try:
        return Method.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _check(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> None:
    """Exits with a message if the options do not go together."""
    jobs = [
        name
        for name in ("compare", "evaluate", "embed")
        if getattr(options, name)
    ]
    if len(jobs) > 1:
        parser.error(f"--{jobs[0]} and --{jobs[1]} are two jobs: give one")
    if options.embed and len(options.embed) < 2:
        parser.error("--embed needs a model and at least one image")
    if options.seeds and not options.compare:
        parser.error("--seeds goes with --compare; for one run use --seed")
    if options.head == "softmax" and options.margin is not None:
        parser.error("--head softmax has no --margin")
    if options.dataset == "folders" and not options.embed:
        if options.data_dir is None:
            parser.error("--dataset folders needs --data_dir")
        if (options.pairs_file is None) != (options.pairs_dir is None):
            parser.error("--pairs_file and --pairs_dir go together")
    if options.num_pairs % 20:
        parser.error("--num_pairs must be a multiple of 20: ten folds, halves")
    if options.pretrained and options.pretrain_epochs:
        parser.error("--pretrained stands in place of --pretrain_epochs")
    if options.compare:
        options.seeds = options.seeds or [0, 1, 2, 3, 4]
        labels = [method.label for method in options.compare]
        if len(set(labels)) < len(labels):
            parser.error("--compare: each method can be named once")
        if len(set(options.seeds)) < len(options.seeds):
            parser.error("--seeds: each seed can be named once")
    try:
        method_of(options).check()
    except ValueError as error:
        parser.error(str(error))

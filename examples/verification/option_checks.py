"""Options that do not go together, or would do nothing."""

import argparse
from collections.abc import Sequence

from common import command_line
from verification.choices import method_of

_METHOD = ("head", "margin", "energy", "power_s", "strength", "seed")
_TRAINING = (
    *_METHOD,
    "scale",
    "lambda_base",
    "lambda_gamma",
    "lambda_power",
    "lambda_min",
    "feature_norm",
    "gradient_detachment",
    "identities",
    "network",
    "embedding_size",
    "pretrain_epochs",
    "epochs",
    "steps",
    "batch_size",
    "learning_rate",
    "pretrain_learning_rate",
    "weight_decay",
    "pretrained",
)
#: Of a comparison for which none are given.
SEEDS = (0, 1, 2, 3, 4)
_DATA = ("data_dir", "pairs_file", "pairs_dir", "test_identities", "num_pairs")


def _refuse_unused(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> None:
    """Exits with a message if an option would do nothing."""

    def refuse(names: Sequence[str], condition: bool, reason: str) -> None:
        if condition:
            command_line.refuse(parser, options, names, reason)

    refuse(_TRAINING, bool(options.evaluate), "--evaluate")
    refuse((*_TRAINING, *_DATA), bool(options.embed), "--embed")
    refuse(
        _METHOD,
        bool(options.compare),
        "--compare, which names methods; seeds are --seeds",
    )
    refuse(_DATA[:-1], options.dataset == "glyphs", "--dataset glyphs")
    refuse(_DATA[-2:], options.pairs_file is not None, "--pairs_file")
    has_none = options.pretrain_epochs == 0 or options.pretrained is not None
    refuse(["pretrain_learning_rate"], has_none, "no training before")
    if options.compare:
        return
    method = method_of(options)
    refuse(["power_s", "strength"], method.energy == "none", "--energy none")
    named = f"--head {method.head}"
    is_sphereface = method.head == "sphereface"
    refuse(["scale"], is_sphereface, named)
    lambdas = [name for name in _TRAINING if name.startswith("lambda")]
    refuse(lambdas, not is_sphereface, named)
    refuse(["feature_norm"], method.head != "sphereface_r", named)
    detaches = method.head in ("sphereface", "sphereface_r", "arcface")
    refuse(["gradient_detachment"], not detaches, named)
    refuse(["margin"], method.head == "softmax", named)


def check_options(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> None:
    """Exits with a message if the options do not go together."""
    jobs = ("compare", "evaluate", "embed")
    command_line.refuse_two_jobs(parser, options, jobs)
    if options.embed and len(options.embed) < 2:
        parser.error("--embed needs a model and at least one image")
    command_line.check_ending(parser, options, "evaluate", ".json")
    command_line.check_ending(parser, options, "embed", ".npz")
    command_line.check_comparison(parser, options, SEEDS)
    _refuse_unused(parser, options)
    if options.dataset == "folders" and not options.embed:
        if (options.pairs_file is None) != (options.pairs_dir is None):
            parser.error("--pairs_file and --pairs_dir go together")
        if options.data_dir is None and not (
            options.evaluate and options.pairs_file
        ):
            parser.error("--dataset folders needs --data_dir")
    options.num_pairs = options.num_pairs or 6000
    if options.num_pairs % 20:
        parser.error("--num_pairs must be a multiple of 20: ten folds, halves")
    if options.pretrained and options.pretrain_epochs:
        parser.error("--pretrained stands in place of --pretrain_epochs")
    options.seed = options.seed or 0
    try:
        method_of(options).check()
    except ValueError as error:
        parser.error(str(error))

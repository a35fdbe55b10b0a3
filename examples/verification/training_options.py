"""Options of the training."""

import argparse
from pathlib import Path
from typing import Any

from common import command_line, option_types
from common.command_line import BY_RECIPE
from verification.networks import NETWORKS


def add_training(group: Any) -> None:
    """Adds recipe, lengths, rates and where the training begins."""
    group.add_argument(
        "--recipe",
        choices=("short", "published"),
        default="short",
        help="published: network, rates, steps and batch size of the published "
        "training files (default: %(default)s)",
    )
    group.add_argument(
        "--network",
        choices=tuple(NETWORKS),
        help=f"two published networks and a small one {BY_RECIPE}",
    )
    group.add_argument(
        "--embedding_size",
        type=option_types.several,
        help=f"length of the embedding {BY_RECIPE}",
    )
    group.add_argument(
        "--pretrain_epochs",
        type=option_types.non_negative_int,
        help=f"epochs without energy that come first; 0 for none {BY_RECIPE}",
    )
    command_line.add_length(group, " in the training with energy")
    group.add_argument(
        "--batch_size",
        type=option_types.positive_int,
        help=f"images of a step {BY_RECIPE}",
    )
    group.add_argument(
        "--learning_rate",
        type=option_types.positive_float,
        help=f"largest rate of the training with energy {BY_RECIPE}",
    )
    group.add_argument(
        "--pretrain_learning_rate",
        type=option_types.positive_float,
        help=f"largest rate of the training without energy {BY_RECIPE}",
    )
    group.add_argument(
        "--weight_decay",
        type=option_types.non_negative_float,
        help="factor of half the squared norm of kernels, slopes and class "
        f"vectors {BY_RECIPE}",
    )
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
        help="begin with this saved model (default: with a training without "
        "energy)",
    )
    group.add_argument(
        "--seed",
        type=option_types.seed,
        help="of weights, order and mirroring (default: 0)",
    )

"""Options that do not go together, or would do nothing."""

import argparse
from functools import partial
from pathlib import Path

from common import command_line, option_types
from generation.use import REAL

#: Of a comparison for which none are given.
SEEDS = (0, 1, 2)
#: Options that stand in place of what the recipe says.
RECIPE = (
    "steps",
    "batch_size",
    "learning_rate",
    "average",
    "width",
    "steps_per_epoch",
    "flip",
    "snapshots",
    "scored",
)


def check_options(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> None:
    """Exits with a message if the options do not go together."""
    modes = ("compare", "generate", "evaluate")
    command_line.refuse_two_jobs(parser, options, modes)
    mode = next((f"--{name}" for name in modes if getattr(options, name)), None)
    refuse = partial(command_line.refuse, parser, options)
    command_line.check_comparison(parser, options, SEEDS)
    variant = ("variant", "power_s", "half_space", "strength")
    if options.dataset in (None, "digits"):
        refuse(["data_dir"], "digits, which comes with scikit-learn")
    if mode:
        refuse(["scores"], mode)
    if options.scores is False:
        refuse(["inception", "scored"], "--no-scores")
    if options.compare:
        refuse((*variant, "seed"), "--compare, which names variants and seeds")
        return
    if options.generate or options.evaluate:
        refuse((*variant, *RECIPE[:-1]), str(mode))
    if options.evaluate in REAL:
        refuse(["seed"], f"--evaluate {options.evaluate}")
    command_line.check_ending(parser, options, "evaluate", ".json")
    command_line.check_ending(parser, options, "generate", ".npz")
    if options.generate:
        refuse(
            ["scored", "dataset", "data_dir", "inception", "recipe"],
            "--generate",
        )
        try:
            options.generate = (
                option_types.positive_int(options.generate[0]),
                Path(options.generate[1]),
            )
        except argparse.ArgumentTypeError:
            parser.error("--generate needs a number of images >= 1 first")
        return
    if "mhe" not in (options.variant or "sn_mhe"):
        refuse(variant[1:], f"--variant {options.variant}")
    is_published = options.power_s in (None, "published")
    if is_published:
        refuse(variant[2:], "the published power; choose another --power_s")
    elif options.strength is None:
        parser.error(f"--power_s {options.power_s} needs a --strength")

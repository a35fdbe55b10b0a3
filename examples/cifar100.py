"""The published CIFAR-100 experiment (CNN-9) in Keras, on three backends.

Without options it trains CNN-9 with half-space MHE on scikit-learn's digits
and draws what happened to the neurons:

    KERAS_BACKEND=jax python examples/cifar100.py

`--help` lists the options; docs/cifar.md maps them to the published program.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import common.required_packages  # noqa: F401
from classification import options as command_line
from classification.comparison import compare
from classification.methods import Method
from classification.plots import draw_run
from classification.training import Run, train
from common.image_data import load_image_data
from common.program import leave, run_program
from common.study import announce


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code, 2 for unusable input."""
    options = command_line.parse(arguments)
    return run_program("cifar100.py", lambda: _work(options))


def _work(options: argparse.Namespace) -> None:
    recipe = command_line.recipe_of(options)
    root = Path("runs") / options.dataset
    images = load_image_data(options.dataset, options.data_dir)

    def run_of(method: Method, seed: int) -> Run:
        return Run(
            options.dataset,
            method,
            recipe,
            options.train_size,
            options.validation_size,
            seed,
        )

    if options.compare:
        folder = options.output or root / "comparison"
        compare(run_of, options.compare, options.seeds, images, folder)
        return
    method = command_line.method_of(options)
    name = f"{method.folder}_seed_{options.seed}"
    folder = options.output or root / name
    run = run_of(method, options.seed)
    announce(method, options.seed, folder)
    metrics = train(run, images, folder, tensorboard=options.tensorboard)
    pictures = draw_run(run, images, folder)
    print(
        f"{method.label}: {metrics['test_accuracy_last_epoch']:.2%} of the "
        f"{options.dataset} test images right, last epoch; pictures: "
        + ", ".join(str(picture) for picture in pictures)
    )


if __name__ == "__main__":
    leave(main())

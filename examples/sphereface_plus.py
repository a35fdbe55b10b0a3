"""SphereFace+ in Keras: train, verify, compare and use embeddings.

Without options it learns 1,560 characters in all the faces of matplotlib's
fonts, with SphereFace and the energy of its class vectors, and verifies pairs
of characters that it has never seen:

    KERAS_BACKEND=torch python examples/sphereface_plus.py

`--help` lists the options; docs/sphereface_plus.md explains them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import common.required_packages  # noqa: F401
from common.checkpoints import LAST
from common.glyphs import load_glyphs
from common.identity_data import (
    IdentityData,
    Images,
    Pairs,
    with_identities,
)
from common.identity_folders import load_identity_folders
from common.lfw_pairs import load_lfw_pairs
from common.program import leave, run_program
from common.study import announce
from verification.choices import method_of, mirror_of, recipe_of
from verification.comparison import compare
from verification.methods import Method
from verification.options import parse
from verification.plots import draw_run
from verification.training import Run, train_from_start
from verification.use import evaluate, write_embeddings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code, 2 for unusable input."""
    options = parse(arguments)
    return run_program(
        "sphereface_plus.py",
        lambda: _work(options),
        resumes=not (options.embed or options.evaluate),
    )


def _work(options: argparse.Namespace) -> None:
    if options.embed:
        model, *images = options.embed
        mirror = mirror_of(options)
        print(write_embeddings(model, images, mirror, options.output))
    elif options.evaluate:
        print(
            evaluate(
                options.evaluate,
                lambda shape: _load_pairs(options, shape[:2]),
                mirror_of(options),
                options.output,
            )
        )
    elif options.compare:
        _compare(options)
    else:
        print(_train(options))


def _load_pairs(
    options: argparse.Namespace, size: tuple[int, int]
) -> tuple[Images, Pairs]:
    """Returns what a saved model is scored on."""
    if options.pairs_file is not None:
        return load_lfw_pairs(options.pairs_file, options.pairs_dir, size)
    data = _load(options)
    return data.x_test, data.pairs


def _load(options: argparse.Namespace) -> IdentityData:
    if options.dataset == "glyphs":
        data = load_glyphs(num_pairs=options.num_pairs, seed=options.data_seed)
    else:
        data = load_identity_folders(
            options.data_dir,
            size=None,
            test_identities=options.test_identities,
            num_pairs=options.num_pairs,
            seed=options.data_seed,
            pairs_file=options.pairs_file,
            pairs_dir=options.pairs_dir,
        )
    if options.identities is None:
        return data
    return with_identities(data, options.identities, options.data_seed)


def _run_of(options: argparse.Namespace, method: Method, seed: int) -> Run:
    return Run(
        options.dataset,
        method,
        recipe_of(options, method),
        seed,
        options.identities,
    )


def _compare(options: argparse.Namespace) -> None:
    folder = options.output or Path("runs") / options.dataset / "comparison"
    compare(
        lambda method, seed: _run_of(options, method, seed),
        options.compare,
        options.seeds,
        _load(options),
        folder,
        start=options.pretrained,
    )


def _train(options: argparse.Namespace) -> str:
    """Trains and draws one run; returns what to print."""
    method = method_of(options)
    run = _run_of(options, method, options.seed)
    name = f"{method.folder}_seed_{options.seed}"
    folder = options.output or Path("runs") / options.dataset / name
    announce(method, options.seed, folder)
    data = _load(options)
    before = folder / "pretraining"
    metrics = train_from_start(
        run, data, folder, before, start=options.pretrained
    )
    start = before / LAST if run.recipe.pretraining else options.pretrained
    pictures = draw_run(run, data, folder, start)
    return (
        f"{method.label}: {metrics['verification_accuracy']:.2%} of the pairs "
        f"right (10 folds), equal error rate {metrics['equal_error_rate']:.2%},"
        f" last epoch; pictures: {', '.join(map(str, pictures))}"
    )


if __name__ == "__main__":
    leave(main())

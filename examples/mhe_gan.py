"""MHE-GAN in Keras: train, compare, generate and score on three backends.

Without options it trains the published pair with spectral normalization and
energy on scikit-learn's digits, and draws what it generates:

    KERAS_BACKEND=torch python examples/mhe_gan.py

`--help` lists the options; docs/mhe_gan.md explains them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import common.required_packages  # noqa: F401
from common.checkpoints import METRICS
from common.image_data import ImageData, load_image_data
from common.program import leave, run_program
from common.run_folder import read_json
from common.study import announce
from generation.classifier import Classifier, classifier_for
from generation.comparison import compare
from generation.inception import inception_from
from generation.options import parse, recipe_of, variant_of
from generation.plots import draw_run
from generation.tensorflow_process import require_packages
from generation.training import Run, scores_of, train
from generation.use import evaluate, images_to_score, write_images
from generation.variants import Variant


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code, 2 for unusable input."""
    options = parse(arguments)
    return run_program(
        "mhe_gan.py",
        lambda: _work(options),
        resumes=not (options.generate or options.evaluate),
    )


def _work(options: argparse.Namespace) -> None:
    if options.generate:
        count, model = options.generate
        seed = options.seed or 0
        print(write_images(model, count, seed, options.output))
        return
    data = load_image_data(options.dataset, options.data_dir)
    if options.evaluate:
        print(_evaluate(options, data))
    elif options.compare:
        _compare(options, data)
    else:
        print(_train(options, data))


def _run_of(options: argparse.Namespace, variant: Variant, seed: int) -> Run:
    return Run(options.dataset, variant, recipe_of(options), seed)


def _classifier(options: argparse.Namespace, data: ImageData) -> Classifier:
    require_packages()
    if options.inception:
        return inception_from(options.inception)
    return classifier_for(data)


def _evaluate(options: argparse.Namespace, data: ImageData) -> str:
    """Scores a generator or real images; returns what to print."""
    recipe, seed = recipe_of(options), options.seed or 0
    # What may be missing is noticed before images are generated.
    images_of = images_to_score(options.evaluate, data)
    classifier = _classifier(options, data)
    return evaluate(
        options.evaluate,
        images_of(recipe.scored, seed),
        data,
        classifier,
        recipe,
        seed,
        options.output,
    )


def _compare(options: argparse.Namespace, data: ImageData) -> None:
    root = Path("runs") / f"gan_{options.dataset}"
    compare(
        lambda variant, seed: _run_of(options, variant, seed),
        options.compare,
        options.seeds,
        data,
        _classifier(options, data),
        options.output or root / "comparison",
    )


def _train(options: argparse.Namespace, data: ImageData) -> str:
    """Trains, scores and draws one run; returns what to print."""
    variant, seed = variant_of(options), options.seed or 0
    name = f"{variant.folder}_seed_{seed}"
    folder = options.output or Path("runs") / f"gan_{options.dataset}" / name
    run = _run_of(options, variant, seed)
    announce(variant, seed, folder)
    if options.scores is False:
        train(run, data, folder)
        pictures = draw_run(folder, read_json(folder / METRICS))
        return f"{variant.label}: pictures: {', '.join(map(str, pictures))}"
    classifier = _classifier(options, data)
    train(run, data, folder)
    metrics = scores_of(run, data, classifier, folder)
    pictures = draw_run(folder, metrics)
    last = metrics["last"]
    return (
        f"{variant.label}: classifier score {last['classifier_score']:.3f}, "
        f"Frechet distance {last['frechet_distance']:.3f}, last snapshot; "
        f"pictures: {', '.join(map(str, pictures))}"
    )


if __name__ == "__main__":
    leave(main())

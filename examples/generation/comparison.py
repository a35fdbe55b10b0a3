"""Comparison of variants on the same seeds: runs, table and pictures."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.image_data import ImageData
from common.paired_statistics import paired_difference, spread
from common.run_folder import read_json, write_json
from common.study import run_folder, train_all, write_results
from common.subsets import evenly_chosen
from common.tables import markdown_table, with_sign
from generation.classifier import Classifier
from generation.evaluation import (
    protocol,
    real_features,
    score_images,
)
from generation.plots import contact_sheet, draw_comparison
from generation.recipes import Recipe
from generation.training import Run, scores_of, train
from generation.variants import Variant


@dataclass(frozen=True)
class Summary:
    """Results of one variant over all seeds.

    Scores are those of the last snapshot, `best_classifier_score` that of the
    best one. Spreads are sample standard deviations. Differences are seed by
    seed to the first variant, with the half width of a 95 % Student t
    interval; `None` where there is nothing to compare.
    """

    variant: str
    seeds: list[int]
    classifier_scores: list[float]
    frechet_distances: list[float]
    classifier_score: float
    classifier_score_spread: float | None
    frechet_distance: float
    frechet_distance_spread: float | None
    kernel_distance: float
    best_classifier_score: float
    difference: float | None
    difference_interval: float | None
    frechet_difference: float | None
    frechet_difference_interval: float | None


def compare(
    run_of: Callable[[Variant, int], Run],
    variants: Sequence[Variant],
    seeds: Sequence[int],
    data: ImageData,
    classifier: Classifier,
    folder: Path,
) -> list[Summary]:
    """Trains every variant on every seed, then prints, saves and draws.

    Runs go seed by seed. Finished runs are kept, an unfinished one continues,
    and a later call may add variants and seeds.

    Args:
        run_of: Makes the run of a variant and a seed.
        variants: The variants; the first is what the others are compared to.
        seeds: The seeds.
        data: The data set.
        classifier: What scores.
        folder: Where the runs and the results go.

    Returns:
        One summary per variant.
    """

    def train_one(variant: Variant, seed: int, place: Path) -> dict[str, Any]:
        run = run_of(variant, seed)
        train(run, data, place)
        return scores_of(run, data, classifier, place)

    metrics = train_all(variants, seeds, folder, train_one)
    recipe = run_of(variants[0], seeds[0]).recipe
    real = real_scores(data, classifier, recipe, folder)
    summaries = summarize(metrics, list(seeds))
    table = format_table(summaries, real) + legend(
        run_of(variants[0], 0), seeds
    )
    write_results(summaries, table, folder)
    scores = {s.variant: np.array(s.classifier_scores) for s in summaries}
    distances = {s.variant: np.array(s.frechet_distances) for s in summaries}
    pictures = [
        draw_comparison(scores, distances, real, folder),
        contact_sheet(
            [(v.label, run_folder(folder, v, seeds[0])) for v in variants],
            folder / "samples.png",
        ),
    ]
    print(f"\n{table}\n\npictures: {', '.join(map(str, pictures))}")
    return summaries


def real_scores(
    data: ImageData, classifier: Classifier, recipe: Recipe, folder: Path
) -> dict[str, float]:
    """Returns the scores of real test images, the upper limit.

    As many as a generator's, since scores of fewer images are worse; where
    there are fewer, all of them.
    """
    path = folder / "real.json"
    known = read_json(path)
    chosen = evenly_chosen(len(data.x_test), recipe.scored)
    real_images = min(recipe.scored, len(data.x_train))
    settings = protocol(
        classifier, len(chosen), real_images, recipe.splits, seed=0
    )
    if known is not None and known["protocol"] == settings:
        return known["scores"]
    scores = asdict(
        score_images(
            data.x_test[chosen],
            classifier,
            real_features(classifier, data, recipe.scored),
            recipe.splits,
        )
    )
    write_json(path, {"protocol": settings, "scores": scores})
    return scores


def summarize(
    metrics: dict[str, list[dict[str, Any]]], seeds: list[int]
) -> list[Summary]:
    """Computes the table from the metrics of each variant's runs by seed."""

    def of(label: str, name: str, which: str = "last") -> np.ndarray:
        return np.array([run[which][name] for run in metrics[label]])

    first = next(iter(metrics))
    summaries = []
    for label in metrics:
        score, distance = (
            of(label, name) for name in ("classifier_score", "frechet_distance")
        )
        is_compared = label != first
        difference, half_width = paired_difference(
            score, of(first, "classifier_score") if is_compared else None
        )
        frechet_difference, frechet_half_width = paired_difference(
            distance, of(first, "frechet_distance") if is_compared else None
        )
        summaries.append(
            Summary(
                variant=label,
                seeds=seeds,
                classifier_scores=score.tolist(),
                frechet_distances=distance.tolist(),
                classifier_score=float(score.mean()),
                classifier_score_spread=spread(score),
                frechet_distance=float(distance.mean()),
                frechet_distance_spread=spread(distance),
                kernel_distance=float(of(label, "kernel_distance").mean()),
                best_classifier_score=float(
                    of(label, "classifier_score", "best").mean()
                ),
                difference=difference,
                difference_interval=half_width,
                frechet_difference=frechet_difference,
                frechet_difference_interval=frechet_half_width,
            )
        )
    return summaries


def legend(run: Run, seeds: Sequence[int]) -> str:
    """Returns what stands under the table."""
    recipe = run.recipe
    return (
        f"\n\n{run.dataset}, {recipe.steps:,} steps of {recipe.batch_size} "
        f"images, width {recipe.width:g}, seeds {', '.join(map(str, seeds))}. "
        f"Scores of {recipe.scored:,} images in {recipe.splits} parts, last "
        "snapshot: mean ± sample standard deviation over the seeds; paired "
        "differences to the first variant: mean ± half width of a 95 % "
        "Student t interval."
    )


def format_table(summaries: Sequence[Summary], real: dict[str, float]) -> str:
    """Returns the summaries as a Markdown table."""

    def with_spread(mean: float, deviation: float | None) -> str:
        text = f"{mean:.3f}"
        return text if deviation is None else f"{text} ± {deviation:.3f}"

    rows: list[tuple[str, ...]] = [
        (
            "variant",
            "classifier score",
            "Frechet distance",
            "kernel distance",
            "best snapshot's score",
            "paired difference: score",
            "Frechet distance",
        )
    ]
    rows += [
        (
            s.variant,
            with_spread(s.classifier_score, s.classifier_score_spread),
            with_spread(s.frechet_distance, s.frechet_distance_spread),
            f"{s.kernel_distance:.4f}",
            f"{s.best_classifier_score:.3f}",
            with_sign(s.difference, s.difference_interval, 3),
            with_sign(s.frechet_difference, s.frechet_difference_interval, 3),
        )
        for s in summaries
    ]
    rows.append(
        (
            "real test images",
            f"{real['classifier_score']:.3f}",
            f"{real['frechet_distance']:.3f}",
            f"{real['kernel_distance']:.4f}",
            "-",
            "-",
            "-",
        )
    )
    return markdown_table(rows)

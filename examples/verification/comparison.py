"""Comparison of methods on the same seeds: runs, table and picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.identity_data import IdentityData
from common.paired_statistics import paired_difference, spread
from common.study import (
    read_histories,
    run_folder,
    train_all,
    write_results,
)
from common.tables import markdown_table, with_sign
from verification.methods import Method
from verification.plots import draw_comparison
from verification.training import Run, train_from_start


@dataclass(frozen=True)
class Summary:
    """Last-epoch results of one method over all seeds.

    Rates are fractions of 1, angles degrees. Spreads are sample standard
    deviations. Differences are seed by seed to the reference, the same head
    without energy, or the first method; with the half width of a 95 %
    Student t interval. They are `None` where there is nothing to compare.
    """

    method: str
    seeds: list[int]
    accuracies: list[float]
    accuracy: float
    accuracy_spread: float | None
    equal_error_rate: float
    tpr_at_1e_2: float
    tpr_at_1e_3: float
    train_accuracy: float
    class_angle: float
    nearest_class_angle: float
    cpu_seconds: float
    reference: str | None
    difference: float | None
    difference_interval: float | None
    tpr_difference: float | None
    tpr_difference_interval: float | None


def compare(
    run_of: Callable[[Method, int], Run],
    methods: Sequence[Method],
    seeds: Sequence[int],
    data: IdentityData,
    folder: Path,
    *,
    start: Path | None = None,
) -> list[Summary]:
    """Trains every method on every seed, then prints, saves and draws.

    Runs go seed by seed, so a study that is cut off has paired results.
    Methods with the same head share the training without energy. Finished
    runs are kept, an unfinished one continues, and a later call may add
    methods and seeds.

    Args:
        run_of: Makes the run of a method and a seed.
        methods: The methods.
        seeds: The seeds.
        data: The data set.
        folder: Where the runs and the results go.
        start: Saved model to begin all runs with, instead of a training
            without energy.

    Returns:
        One summary per method.
    """

    def train_one(method: Method, seed: int, place: Path) -> dict[str, Any]:
        before = run_folder(folder / "pretraining", method.without_energy, seed)
        run = run_of(method, seed)
        return train_from_start(run, data, place, before, start=start)

    metrics = train_all(methods, seeds, folder, train_one)
    summaries = summarize(metrics, list(seeds), references(methods))
    table = format_table(summaries)
    write_results(summaries, table, folder)
    histories = read_histories(methods, seeds, folder)
    picture = draw_comparison(summaries, histories, folder)
    print(f"\n{table}\n\npicture: {picture}")
    return summaries


def references(methods: Sequence[Method]) -> dict[str, str]:
    """Returns for each method the label of what it is compared with."""
    labels = [method.label for method in methods]
    found = {}
    for method in methods:
        plain = method.without_energy.label
        has_plain = plain in labels and plain != method.label
        found[method.label] = plain if has_plain else labels[0]
    return found


def summarize(
    metrics: dict[str, list[dict[str, Any]]],
    seeds: list[int],
    reference_of: dict[str, str],
) -> list[Summary]:
    """Computes the table from the metrics of each method's runs by seed."""

    def of(label: str, name: str, rate: str | None = None) -> np.ndarray:
        values = [run[name] for run in metrics[label]]
        return np.array([v[rate] for v in values] if rate else values)

    def tpr(label: str) -> np.ndarray:
        return of(label, "tpr_at_fpr", "0.001")

    summaries = []
    for label in metrics:
        accuracy = of(label, "verification_accuracy")
        reference = reference_of[label]
        is_compared = reference != label
        difference, half_width = paired_difference(
            accuracy,
            of(reference, "verification_accuracy") if is_compared else None,
        )
        tpr_difference, tpr_half_width = paired_difference(
            tpr(label), tpr(reference) if is_compared else None
        )
        summaries.append(
            Summary(
                method=label,
                seeds=seeds,
                accuracies=accuracy.tolist(),
                accuracy=float(accuracy.mean()),
                accuracy_spread=spread(accuracy),
                equal_error_rate=float(of(label, "equal_error_rate").mean()),
                tpr_at_1e_2=float(of(label, "tpr_at_fpr", "0.01").mean()),
                tpr_at_1e_3=float(tpr(label).mean()),
                train_accuracy=float(of(label, "train_accuracy").mean()),
                class_angle=float(of(label, "smallest_angle").mean()),
                nearest_class_angle=float(
                    of(label, "mean_nearest_angle").mean()
                ),
                cpu_seconds=float(of(label, "cpu_seconds").mean()),
                reference=reference if is_compared else None,
                difference=difference,
                difference_interval=half_width,
                tpr_difference=tpr_difference,
                tpr_difference_interval=tpr_half_width,
            )
        )
    return summaries


def format_table(summaries: Sequence[Summary]) -> str:
    """Returns the summaries as a Markdown table, rates in percent."""
    rows = [
        (
            "method",
            "10 folds %",
            "spread",
            "EER %",
            "TPR % at FPR 1e-2",
            "at 1e-3",
            "train %",
            "smallest, nearest class angle",
            "CPU s",
            "paired difference: 10 folds",
            "TPR at 1e-3",
        )
    ]
    for one in summaries:
        reference = f" to {one.reference}" if one.reference else ""
        rows.append(
            (
                one.method,
                f"{100 * one.accuracy:.2f}",
                "-"
                if one.accuracy_spread is None
                else f"{100 * one.accuracy_spread:.2f}",
                f"{100 * one.equal_error_rate:.2f}",
                f"{100 * one.tpr_at_1e_2:.1f}",
                f"{100 * one.tpr_at_1e_3:.1f}",
                f"{100 * one.train_accuracy:.2f}",
                f"{one.class_angle:.1f}°, {one.nearest_class_angle:.1f}°",
                f"{one.cpu_seconds:.0f}",
                with_sign(one.difference, one.difference_interval, 2, 100)
                + reference,
                with_sign(
                    one.tpr_difference, one.tpr_difference_interval, 1, 100
                ),
            )
        )
    return markdown_table(rows)

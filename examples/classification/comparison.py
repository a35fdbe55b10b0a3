"""Comparison of methods on the same seeds: runs, table and picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from classification.methods import Method
from classification.plots import draw_comparison
from classification.training import Run, train
from common.image_data import ImageData
from common.paired_statistics import paired_difference, spread
from common.study import read_histories, train_all, write_results
from common.tables import markdown_table, with_sign


@dataclass(frozen=True)
class Summary:
    """Last-epoch results of one method over all seeds.

    Accuracies are fractions of 1. Spreads are sample standard deviations.
    Differences are seed by seed to the first method, with the half width of
    a 95 % Student t interval; both are `None` for the first method, and the
    interval for a single seed.
    """

    method: str
    seeds: list[int]
    test_accuracies: list[float]
    test_mean: float
    test_spread: float | None
    train_mean: float
    hidden_gap_mean: float
    cpu_milliseconds_per_step: float
    difference: float | None
    difference_interval: float | None


def compare(
    run_of: Callable[[Method, int], Run],
    methods: Sequence[Method],
    seeds: Sequence[int],
    images: ImageData,
    folder: Path,
) -> list[Summary]:
    """Trains every method on every seed, then prints, saves and draws.

    Runs go seed by seed, so a study that is cut off has paired results.
    Finished runs are kept, an unfinished one continues, and a later call may
    add methods and seeds.

    Args:
        run_of: Makes the run of a method and a seed.
        methods: The methods; the first is the one to compare with.
        seeds: The seeds.
        images: The data set.
        folder: Where the runs and the results go.

    Returns:
        One summary per method.
    """
    metrics = train_all(
        methods,
        seeds,
        folder,
        lambda method, seed, place: train(run_of(method, seed), images, place),
    )
    summaries = summarize(metrics, list(seeds))
    table = format_table(summaries)
    write_results(summaries, table, folder)
    histories = read_histories(methods, seeds, folder)
    picture = draw_comparison(summaries, histories, folder)
    print(f"\n{table}\n\npicture: {picture}")
    return summaries


def summarize(
    metrics: dict[str, list[dict[str, Any]]], seeds: list[int]
) -> list[Summary]:
    """Computes the table from the metrics of each method's runs by seed."""

    def of(label: str, name: str) -> np.ndarray:
        return np.array([run[name] for run in metrics[label]])

    reference = of(next(iter(metrics)), "test_accuracy_last_epoch")
    summaries = []
    for label in metrics:
        test = of(label, "test_accuracy_last_epoch")
        difference, half_width = paired_difference(
            test, reference if summaries else None
        )
        summaries.append(
            Summary(
                method=label,
                seeds=seeds,
                test_accuracies=test.tolist(),
                test_mean=float(test.mean()),
                test_spread=spread(test),
                train_mean=float(of(label, "train_accuracy_last_epoch").mean()),
                hidden_gap_mean=float(
                    of(label, "hidden_energy_gap_last_epoch").mean()
                ),
                cpu_milliseconds_per_step=float(
                    of(label, "cpu_milliseconds_per_step").mean()
                ),
                difference=difference,
                difference_interval=half_width,
            )
        )
    return summaries


def format_table(summaries: Sequence[Summary]) -> str:
    """Returns the summaries as a Markdown table, accuracies in percent."""
    first = summaries[0].method
    header = (
        "method",
        "test % (last epoch)",
        "spread",
        "train %",
        "hidden energy gap",
        "CPU ms a step",
        f"paired difference to {first}",
    )
    rows = [header]
    for summary in summaries:
        rows.append(
            (
                summary.method,
                f"{100 * summary.test_mean:.2f}",
                _percent(summary.test_spread),
                f"{100 * summary.train_mean:.2f}",
                f"{summary.hidden_gap_mean:.2f}",
                f"{summary.cpu_milliseconds_per_step:.0f}",
                with_sign(
                    summary.difference, summary.difference_interval, 2, 100
                ),
            )
        )
    return markdown_table(rows)


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2f}"

"""Studies: every method on every seed, in one folder."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from common.checkpoints import read_history
from common.run_folder import versions, write_json, write_text


class Named(Protocol):
    """A method under test: its name, and its name as a folder."""

    label: str
    folder: str


def run_folder(folder: Path, method: Named, seed: int) -> Path:
    """Returns the folder of one run of a study."""
    return folder / method.folder / f"seed_{seed}"


def announce(method: Named, seed: int, place: Path) -> None:
    """Says which run comes now, before a minute in which it is compiled."""
    print(f"{method.label}, seed {seed}: {place}", flush=True)


def train_all(
    methods: Sequence[Any],
    seeds: Sequence[int],
    folder: Path,
    train_one: Callable[[Any, int, Path], dict[str, Any]],
) -> dict[str, list[dict[str, Any]]]:
    """Trains seed by seed, so a study that is cut off has paired results.

    Args:
        methods: The methods.
        seeds: The seeds.
        folder: Where the runs go.
        train_one: Trains a method with a seed in a folder, or goes on where
            it stopped, and returns the metrics.

    Returns:
        The metrics of each method's runs by seed, by the method's label.
    """
    metrics: dict[str, list[dict[str, Any]]] = {m.label: [] for m in methods}
    for seed in seeds:
        for method in methods:
            place = run_folder(folder, method, seed)
            announce(method, seed, place)
            metrics[method.label].append(train_one(method, seed, place))
            keras.utils.clear_session()
    return metrics


def write_results(summaries: Sequence[Any], table: str, folder: Path) -> None:
    """Writes `comparison.json` from dataclasses and `comparison.md`."""
    write_json(
        folder / "comparison.json",
        {
            "versions": versions(),
            "results": [asdict(summary) for summary in summaries],
        },
    )
    write_text(folder / "comparison.md", table + "\n")


def read_histories(
    methods: Sequence[Named], seeds: Sequence[int], folder: Path
) -> dict[str, list[np.ndarray]]:
    """Returns the histories of each method's runs by seed, by its label."""
    return {
        method.label: [
            read_history(run_folder(folder, method, seed)) for seed in seeds
        ]
        for method in methods
    }

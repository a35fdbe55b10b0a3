"""The picture of time and memory against the number of neurons."""

import math
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# Colours that stay apart for colour-blind readers (Okabe and Ito).
LIBRARY, TEXTBOOK, LIMIT = "#0072B2", "#D55E00", "#555555"
MIB = 1024**2


def draw(
    results: dict[str, dict[str, Any]], names: dict[str, str], path: Path
) -> None:
    """Draws one column for each backend: time by dimension, and memory.

    Args:
        results: The measured files by backend.
        names: How the backends are called.
        path: PNG file to write.
    """
    dims = sorted(
        {row["dim"] for result in results.values() for row in _good(result)}
    )
    plt.rcParams.update({"font.size": 10, "axes.titlesize": 11})
    figure, axes = plt.subplots(
        len(dims) + 1,
        len(results),
        figsize=(3.1 * len(results) + 0.6, 8.2),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for column, (backend, result) in enumerate(results.items()):
        axes[0, column].set_title(names[backend])
        rows = _good(result)
        for index, dim in enumerate(dims):
            _time(axes[index, column], rows, dim)
        _memory(axes[-1, column], rows, dims[0])
        axes[-1, column].set_xlabel("neurons N")
    for index, dim in enumerate(dims):
        axes[index, 0].set_ylabel(f"seconds, d = {dim}")
    axes[-1, 0].set_ylabel(f"added MiB, d = {dims[0]}")
    for axis in axes.flat:
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    ticks = [1000, 10_000, 60_000]
    axes[0, 0].set_xlim(700, 95_000)
    for axis in axes[-1]:
        axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=9)
        axis.minorticks_off()
    by_label = {}
    for axis in axes.flat:
        handles, labels = axis.get_legend_handles_labels()
        by_label |= dict(zip(labels, handles, strict=True))
    figure.legend(
        by_label.values(),
        by_label.keys(),
        loc="outside upper center",
        ncols=min(len(results), 3),
        frameon=False,
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _good(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in result.get("scaling", []) if "error" not in row]


def _time(axis: Any, rows: list[dict[str, Any]], dim: int) -> None:
    sizes, limits = [], []
    for row in _chosen(rows, "library", dim):
        sizes.append(row["num_neurons"])
        limits.append(4 * row["num_neurons"] ** 2 * dim / row["flops"])
    symmetric = [0.75 * limit for limit in limits]
    axis.plot(sizes, limits, "--", color=LIMIT, label="two-product limit")
    axis.plot(sizes, symmetric, ":", color=LIMIT, label="symmetric limit")
    _lines(axis, rows, dim, "seconds", 1.0)


def _memory(axis: Any, rows: list[dict[str, Any]], dim: int) -> None:
    sizes = [row["num_neurons"] for row in _chosen(rows, "library", dim)]
    table = [4 * size**2 / MIB for size in sizes]
    axis.plot(sizes, table, "-.", color=LIMIT, label="one N x N table")
    _lines(axis, rows, dim, "added_bytes", MIB)


def _lines(
    axis: Any, rows: list[dict[str, Any]], dim: int, field: str, unit: float
) -> None:
    for name, colour, marker in (
        ("textbook", TEXTBOOK, "s"),
        ("library", LIBRARY, "o"),
    ):
        chosen = _chosen(rows, name, dim)
        axis.plot(
            [row["num_neurons"] for row in chosen],
            # No point where nothing was added.
            [row[field] / unit or math.nan for row in chosen],
            marker=marker,
            markersize=5,
            linewidth=1.8,
            color=colour,
            label=name,
        )


def _chosen(
    rows: list[dict[str, Any]], implementation: str, dim: int
) -> list[dict[str, Any]]:
    chosen = [
        row
        for row in rows
        if row["implementation"] == implementation and row["dim"] == dim
    ]
    return sorted(chosen, key=lambda row: row["num_neurons"])

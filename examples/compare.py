"""Compares finished runs of any of the programs, seed by seed.

    python examples/cifar100.py --model_name baseline --seeds 0 1 2
    python examples/cifar100.py --model_name half_mhe --seeds 0 1 2
    python examples/compare.py runs/digits

Runs that differ in their seed alone are one method. The table has the mean of
each metric, and for the first metric the standard deviation over the seeds and
the paired difference to the first method: of runs with the same seed, with a
95 % Student t interval. The picture has each seed, and mean curves.
"""

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import runs
import numpy as np
import tyro
from matplotlib.figure import Figure
from scipy import stats

from data import UserError


@dataclasses.dataclass(frozen=True)
class Options(runs.Options):
    """Compares finished runs, seed by seed."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs, or folders that hold some; their order is that of the
    methods, and the first one is what the others are compared with."""
    metrics: tuple[str, ...] = ()  # Numbers of metrics.json (all).
    output: Path | None = None
    """Where comparison.md and comparison.png go (the first folder)."""


@dataclasses.dataclass
class Method:
    """Runs of one setting, by their seeds."""

    settings: dict[str, Any]
    metrics: dict[int, dict[str, Any]]
    histories: list[dict[str, np.ndarray]]


def read_methods(folders: tuple[Path, ...]) -> list[Method]:
    """Reads all finished runs, in the order of the folders and their names."""
    methods: dict[str, Method] = {}
    found = [path for f in folders for path in sorted(f.rglob(runs.SETTINGS))]
    for path in dict.fromkeys(found):
        settings, place = runs.read_json(path).get("settings"), path.parent
        if not isinstance(settings, dict) or "seed" not in settings:
            continue
        if not (place / runs.METRICS).exists():
            print(f"{place}: left out, not finished")
            continue
        seed = settings.pop("seed")
        key = repr(sorted(settings.items()))
        method = methods.setdefault(key, Method(settings, {}, []))
        method.metrics[seed] = runs.read_json(place / runs.METRICS)
        if (place / runs.HISTORY).exists():  # Numbers that were kept have none.
            method.histories.append(runs.read_history(place))
    if not methods:
        raise UserError(f"{', '.join(map(str, folders))}: no finished run.")
    return list(methods.values())


def labels_of(methods: list[Method]) -> list[str]:
    """Names each method by the settings in which they differ."""
    settings, labels = [method.settings for method in methods], []
    names = dict.fromkeys(name for given in settings for name in given)
    for given in settings:
        parts = [
            value if isinstance(value, str) else f"{name} {value}"
            for name in names
            if (value := given.get(name)) is not None
            and any(other.get(name) != value for other in settings)
        ]
        labels.append(", ".join(parts) or str(given.get("program")))
    return labels


def values_of(method: Method, metric: str) -> dict[int, float]:
    """Returns a metric of each seed."""
    try:
        return {s: float(m[metric]) for s, m in method.metrics.items()}
    except (KeyError, TypeError, ValueError) as error:
        known = next(iter(method.metrics.values()))
        problem = f"--metrics {metric} is no number that all runs have."
        raise UserError(f"{problem} Known: {', '.join(known)}.") from error


def paired_difference(one: dict[int, float], other: dict[int, float]) -> str:
    """Mean difference of common seeds, and half of its 95 % interval."""
    differences = [one[seed] - other[seed] for seed in one.keys() & other]
    if not differences:
        return "-"
    mean, freedom = f"{np.mean(differences):+.2g}", len(differences) - 1
    if not freedom:
        return mean
    half = stats.t.ppf(0.975, freedom) * stats.sem(differences)
    return f"{mean} ± {half:.2g}"


def table_of(methods: list[Method], labels: list[str], metrics: Any) -> str:
    """Returns the comparison as a Markdown table."""
    first, *others = metrics
    reference = values_of(methods[0], first)
    rows = [["method", "seeds", first, "spread", "difference", *others]]
    for method, label in zip(methods, labels, strict=True):
        values = values_of(method, first)
        numbers = list(values.values())
        spread = f"{np.std(numbers, ddof=1):.2g}" if len(numbers) > 1 else "-"
        is_first = method is methods[0]
        difference = "-" if is_first else paired_difference(values, reference)
        means = [np.mean(list(values_of(method, m).values())) for m in others]
        seeds = " ".join(map(str, sorted(values)))
        row = [label, seeds, f"{np.mean(numbers):.4g}", spread, difference]
        rows.append(row + [f"{value:.4g}" for value in means])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw(methods: list[Method], labels: list[str], metric: str) -> Figure:
    """Draws a metric of each seed, and mean and range of each curve."""
    histories = [h for method in methods for h in method.histories]
    names = [n for n in (histories or [{}])[0] if "/" not in n]
    curves = [n for n in names if all(n in history for history in histories)]
    columns = 4
    count = -(-(len(curves) + 1) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * count), layout="constrained")
    grid = figure.subplots(count, columns, squeeze=False).flat
    values = [values_of(method, metric) for method in methods]
    for seed in sorted(set().union(*values)):
        points = [by_seed.get(seed, np.nan) for by_seed in values]
        grid[0].plot(points, color="0.8", lw=1, zorder=1)
    for index, by_seed in enumerate(values):
        numbers = list(by_seed.values())
        grid[0].scatter([index] * len(numbers), numbers, color=f"C{index}")
        grid[0].plot(index, np.mean(numbers), "k_", ms=24)
    grid[0].set_xlim(-0.5, len(methods) - 0.5)
    grid[0].set_xticks([])
    title = f"{runs.in_picture(metric)}, a line for each seed"
    grid[0].set_title(title, fontsize="medium")
    for axes, name in zip(grid[1:], curves, strict=False):
        for index, method in enumerate(methods):
            if not method.histories:
                continue
            length = min(len(history[name]) for history in method.histories)
            all_runs = np.stack([h[name][:length] for h in method.histories])
            epochs = 1 + np.arange(length)
            label = runs.in_picture(labels[index])
            style = {"color": f"C{index}", "label": label}
            axes.plot(epochs, all_runs.mean(axis=0), **style)
            low, high = all_runs.min(axis=0), all_runs.max(axis=0)
            axes.fill_between(epochs, low, high, color=f"C{index}", alpha=0.15)
        title = f"{runs.in_picture(name)}, mean and range"
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("epoch")
    for axes in grid[len(curves) + 1 :]:
        axes.remove()
    if curves:
        handles = grid[1].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=columns)
    return figure


def work(options: Options) -> None:
    """Reads, prints, writes and draws."""
    methods = read_methods(options.folders)
    labels = labels_of(methods)
    some = next(iter(methods[0].metrics.values())).items()
    numbers = [n for n, v in some if isinstance(v, int | float) if "/" not in n]
    metrics = list(options.metrics) or numbers
    table = table_of(methods, labels, metrics)
    folder = options.output or options.folders[0]
    folder.mkdir(parents=True, exist_ok=True)
    path, figure = folder / "comparison.md", draw(methods, labels, metrics[0])
    runs.write(path, lambda place: place.write_text(table + "\n"))
    picture = runs.save_figure(figure, folder / "comparison.png")
    print(f"{table}\n\n{picture}")


main = functools.partial(runs.main, Options, work)

if __name__ == "__main__":
    sys.exit(main())

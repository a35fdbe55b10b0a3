"""Parts of pictures that several programs draw."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.run_folder import write_atomically
from keras_mhe.analysis import random_angle_density

#: Arguments for a histogram of several, one over the other.
FILLED = {"density": True, "histtype": "stepfilled", "alpha": 0.5}


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> Path:
    """Writes a figure in one step; returns its path."""
    write_atomically(path, lambda place: figure.savefig(place, dpi=dpi))
    return path


def style_of(num_points: int) -> dict[str, str]:
    """Arguments for a line that can be seen if it has a point or two."""
    return {"marker": "o"} if num_points < 3 else {}


def _plot_mean_curve(
    axes: Axes, curves: np.ndarray, label: str, color: str
) -> None:
    """Draws mean and range of curves `(runs, epochs)` over the epochs."""
    epochs = 1 + np.arange(curves.shape[1])
    style = style_of(len(epochs))
    axes.plot(epochs, curves.mean(axis=0), color=color, label=label, **style)
    axes.fill_between(
        epochs,
        curves.min(axis=0),
        curves.max(axis=0),
        color=color,
        alpha=0.15,
        linewidth=0,
    )


def plot_mean_curves(
    axes: Axes,
    histories: Mapping[str, Sequence[np.ndarray]],
    curve_of: Callable[[np.ndarray], np.ndarray],
    title: str,
    xlabel: str,
) -> None:
    """Draws mean and range of each method over its runs.

    Args:
        axes: Where.
        histories: For each method, the histories of its runs.
        curve_of: From a history to what is drawn over its epochs.
        title: What that is.
        xlabel: What the epochs are.
    """
    for index, (label, runs) in enumerate(histories.items()):
        curves = np.stack([curve_of(history) for history in runs])
        _plot_mean_curve(axes, curves, label, f"C{index}")
    axes.set_title(f"{title}\n(mean and range over seeds)")
    axes.set_xlabel(xlabel)


def plot_paired_values(axes: Axes, values: np.ndarray) -> None:
    """Draws values `(methods, seeds)`, means of methods, a line a seed."""
    positions = np.arange(len(values))
    axes.plot(positions, values, color="0.8", linewidth=1)
    for position, row in zip(positions, values, strict=True):
        axes.plot([position] * len(row), row, "o", color=f"C{position}")
        axes.plot(position, row.mean(), "_", color="black", markersize=30)
    axes.set_xlim(-0.5, len(values) - 0.5)


def plot_angles(
    axes: Axes, before: np.ndarray, after: np.ndarray, dim: int, bins: int
) -> None:
    """Draws angles before and after a training, and the random density.

    Args:
        axes: Where.
        before: Angles of all pairs of directions, in degrees.
        after: The same after the training.
        dim: Dimension of the directions.
        bins: Number of bins of the histograms.
    """
    both = np.concatenate([before, after])
    edges = np.linspace(both.min(), both.max(), bins + 1)
    axes.hist(before, edges, color="0.5", label="before", **FILLED)
    axes.hist(after, edges, color="C0", label="after", **FILLED)
    grid = np.linspace(edges[0], edges[-1], 400)
    density = random_angle_density(grid, dim)
    axes.plot(grid, density, "k--", lw=1, label="random")
    axes.set_yticks([])

"""Pictures of a run and of a comparison."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.checkpoints import read_history
from common.figures import plot_paired_values, save_figure
from generation.monitor import SAMPLES, SPECTRA, by_step, read_spectra
from generation.sheets import read_sheet, write_animation


def draw_run(folder: Path, metrics: dict[str, Any] | None) -> list[Path]:
    """Draws curves and, if there are sheets, their animation.

    Args:
        folder: The run's folder.
        metrics: Scores of its snapshots, or `None` for none.

    Returns:
        The paths of the pictures.
    """
    sheets = by_step((folder / SAMPLES).glob("step_*.png"))
    spectra = read_spectra(folder / SPECTRA)
    pictures = [
        save_figure(_curves(folder, metrics), folder / "training.png"),
        save_figure(_spectra(spectra), folder / "singular_values.png"),
    ]
    if sheets:
        animation = write_animation(sheets, folder / "samples.gif")
        pictures += [animation, sheets[-1]]
    return pictures


def _curves(folder: Path, metrics: dict[str, Any] | None) -> Figure:
    history = read_history(folder)
    epochs = 1 + np.arange(len(history))
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    losses, scores, energies, sigmas = figure.subplots(2, 2).flat
    style = "o" if len(epochs) == 1 else "-"
    for side in ("generator", "discriminator"):
        losses.plot(epochs, history[f"{side}_loss"], style, label=side)
    losses.set(title="loss", xlabel="epoch")
    losses.legend()

    if metrics is None:
        scores.set_axis_off()
    else:
        _scores(scores, metrics["snapshots"])
    _layers(energies, history, epochs, "energy_gap/discriminator/")
    energies.axhline(1.0, color="0.7", linewidth=1)
    energies.set(
        title="energy gap of the discriminator: 0 optimal, 1 random",
        xlabel="epoch",
    )
    _layers(sigmas, history, epochs, "sigma/")
    sigmas.set(
        title="largest singular value of the discriminator",
        xlabel="epoch",
        ylim=(0, None),
    )
    for axes in (losses, energies, sigmas):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _scores(axes: Any, snapshots: dict[str, dict[str, float]]) -> None:
    steps = [int(name.rpartition("_")[2]) for name in snapshots]
    values = list(snapshots.values())
    axes.plot(steps, [v["classifier_score"] for v in values], "o-")
    axes.set(title="scores of the snapshots", xlabel="step")
    axes.set_ylabel("classifier score, larger is better", color="C0")
    distances = axes.twinx()
    distances.plot(
        steps, [v["frechet_distance"] for v in values], "s--", color="C1"
    )
    distances.set_ylabel("Frechet distance, smaller is better", color="C1")
    distances.set_ylim(bottom=0)


def _layers(
    axes: Any, history: np.ndarray, epochs: np.ndarray, prefix: str
) -> None:
    names = [n for n in history.dtype.names if n.startswith(prefix)]
    for index, name in enumerate(names):
        color = f"C{index}"
        axes.plot(
            epochs,
            history[name],
            "o" if len(epochs) == 1 else "-",
            color=color,
            label=name.removeprefix(prefix).removeprefix("sn_"),
        )
    if names:
        axes.legend(fontsize="small", ncols=2)


def _spectra(tables: dict[str, np.ndarray]) -> Figure:
    """Draws a line for each singular value of each layer."""
    columns = 4
    rows = -(-len(tables) // columns)
    figure = Figure(figsize=(12, 2.8 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (name, values) in zip(grid, tables.items(), strict=False):
        epochs = 1 + np.arange(len(values))
        axes.plot(epochs, values, color="C0", linewidth=0.6, alpha=0.6)
        axes.plot(epochs, values[:, 0], color="C3")
        top = 1.1 * float(values.max())
        axes.set(title=name.removeprefix("sn_"), ylim=(0, top))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in list(grid)[len(tables) :]:
        axes.set_axis_off()
    figure.supxlabel("epoch")
    figure.suptitle("singular values of the discriminator, the largest in red")
    return figure


def draw_comparison(
    scores: dict[str, np.ndarray],
    distances: dict[str, np.ndarray],
    real: dict[str, float],
    folder: Path,
) -> Path:
    """Draws the scores of each variant and seed beside those of real images."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    for axes, values, name in zip(
        figure.subplots(1, 2),
        (scores, distances),
        ("classifier_score", "frechet_distance"),
        strict=True,
    ):
        plot_paired_values(axes, np.array(list(values.values())))
        axes.axhline(real[name], color="0.5", linestyle=":")
        axes.annotate(
            "real test images",
            (0.02, real[name]),
            xycoords=("axes fraction", "data"),
            color="0.4",
            va="bottom",
        )
        axes.set_xticks(range(len(values)), values)
        title = name.replace("_", " ").replace("frechet", "Frechet")
        axes.set_title(f"{title}, last snapshot")
    return save_figure(figure, folder / "comparison.png")


def contact_sheet(folders: Sequence[tuple[str, Path]], path: Path) -> Path:
    """Draws the last sheets of several runs under their names."""
    figure = Figure(figsize=(3.2 * len(folders), 3.6), layout="constrained")
    for axes, (label, folder) in zip(
        np.atleast_1d(figure.subplots(1, len(folders))), folders, strict=True
    ):
        sheets = by_step((folder / SAMPLES).glob("step_*.png"))
        if sheets:
            axes.imshow(np.asarray(read_sheet(sheets[-1])), cmap="gray")
        axes.set_title(label)
        axes.set_axis_off()
    return save_figure(figure, path)

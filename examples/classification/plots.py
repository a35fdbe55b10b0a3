"""Pictures of a run and of a comparison."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from classification.training import (
    INITIAL,
    Run,
    hidden_energy_gap,
    initial_model,
    is_hidden_gap,
)
from common.angles import pairwise_angles
from common.checkpoints import AGAIN, LAST, load_model, read_history
from common.figures import (
    plot_angles,
    plot_mean_curves,
    plot_paired_values,
    save_figure,
    style_of,
)
from common.image_data import ImageData
from common.run_folder import read_json
from keras_mhe.analysis import (
    NeuronKernel,
    neuron_kernels,
    optimal_angles,
)

if TYPE_CHECKING:
    from classification.comparison import Summary


def draw_run(run: Run, images: ImageData, folder: Path) -> list[Path]:
    """Draws `training.png` and `angles.png` of a finished run.

    Args:
        run: The run.
        images: Its data set.
        folder: The run's folder.

    Returns:
        The paths of the pictures.
    """
    title = f"{run.dataset}, {run.method.label}, seed {run.seed}"
    history = read_history(folder)
    before = neuron_kernels(initial_model(run, images))
    after = neuron_kernels(load_model(folder / LAST, AGAIN))
    half_space = run.method.model_name != "mhe"
    return [
        save_figure(
            _training_figure(history, read_json(folder / INITIAL), title),
            folder / "training.png",
        ),
        save_figure(
            _angle_figure(before, after, half_space, title),
            folder / "angles.png",
        ),
    ]


def draw_comparison(
    summaries: Sequence["Summary"],
    histories: dict[str, list[np.ndarray]],
    folder: Path,
) -> Path:
    """Draws `comparison.png`: final accuracies and mean curves.

    Args:
        summaries: One per method.
        histories: For each method, the histories of its runs.
        folder: Where the picture goes.

    Returns:
        The path of the picture.
    """
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    final, training, validation, gap = figure.subplots(2, 2).flat
    accuracies = 100 * np.array([s.test_accuracies for s in summaries])
    plot_paired_values(final, accuracies)
    final.set_xticks(range(len(summaries)), [s.method for s in summaries])
    if len(summaries) > 4:
        final.tick_params(axis="x", labelrotation=30, labelsize="small")
        for label in final.get_xticklabels():
            label.set_horizontalalignment("right")
    final.set_title("test accuracy after the last epoch, %\n(line: one seed)")
    for axes, curve_of, name in (
        (training, lambda h: 100 * h["accuracy"], "training accuracy, %"),
        (
            validation,
            lambda h: 100 * h["val_accuracy"],
            "validation accuracy, %",
        ),
        (gap, hidden_energy_gap, "hidden energy gap (0 optimal, 1 random)"),
    ):
        plot_mean_curves(axes, histories, curve_of, name, "epoch")
    validation.legend(fontsize="small" if len(summaries) > 4 else None)
    return save_figure(figure, folder / "comparison.png")


def _training_figure(
    history: np.ndarray, initial: dict[str, float], title: str
) -> Figure:
    figure = Figure(figsize=(13, 4), layout="constrained")
    figure.suptitle(title)
    accuracy, loss, gap = figure.subplots(1, 3)
    epochs = 1 + history["epoch"]
    style = style_of(len(epochs))
    for axes, name, factor in ((accuracy, "accuracy", 100), (loss, "loss", 1)):
        for prefix, label in (("", "training"), ("val_", "validation")):
            values = factor * history[f"{prefix}{name}"]
            axes.plot(epochs, values, label=label, **style)
        axes.set_xlabel("epoch")
        axes.legend()
    accuracy.set_title("accuracy, %")
    loss.set_title("loss, energies and weight decay included")
    names = [name for name in initial if is_hidden_gap(name)]
    colors = mpl.colormaps["viridis"](np.linspace(0, 0.95, len(names)))
    for name, color in zip(names, colors, strict=True):
        levels = [initial[name], *history[name]]
        gap.plot(
            [0, *epochs],
            levels,
            color=color,
            label=name.removeprefix("energy_gap/"),
        )
    gap.axhline(1, color="0.5", linestyle="--", linewidth=1)
    gap.axhline(0, color="0.5", linewidth=1)
    gap.set_title("energy gap in half space: 0 optimal, 1 random")
    gap.set_xlabel("epoch")
    gap.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    return figure


def _angle_figure(
    before: list[NeuronKernel],
    after: list[NeuronKernel],
    half_space: bool,
    title: str,
) -> Figure:
    """Angles between neurons of four layers, before and after training."""
    chosen = np.linspace(0, len(after) - 1, 4).round().astype(int)
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    figure.suptitle(f"angles between the neurons of a layer: {title}")
    for axes, index in zip(figure.subplots(1, 4), chosen, strict=True):
        kernel = after[index]
        angles = [pairwise_angles(_columns(k)) for k in (before[index], kernel)]
        plot_angles(axes, *angles, dim=kernel.dim, bins=60)
        is_output = index == len(after) - 1
        optimum = drawn_optima(
            kernel.num_neurons, kernel.dim, half_space and not is_output
        )
        # More neurons than dimensions may not reach the angles of the bound.
        is_full = is_output or not half_space
        is_reached = is_full or kernel.num_neurons <= kernel.dim
        style, name = ("-", "optimal") if is_reached else (":", "bound")
        for angle in optimum:
            axes.axvline(angle, color="C3", ls=style, lw=1, label=name)
        axes.set_title(
            f"{kernel.name}: {kernel.num_neurons} in dimension {kernel.dim}",
            fontsize="medium",
        )
        axes.set_xlabel("degrees")
    unique = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        unique |= dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside right center")
    return figure


def _columns(kernel: NeuronKernel) -> np.ndarray:
    """Returns the neurons of a kernel, whose last axis counts them."""
    weights = keras.ops.convert_to_numpy(kernel.variable)
    return weights.reshape(-1, weights.shape[-1])


def drawn_optima(num_neurons: int, dim: int, half_space: bool) -> set[float]:
    """Angles of the optimum; of lines those on both sides of 90 degrees."""
    found = optimal_angles(num_neurons, dim, half_space=half_space)
    opposites = [180.0 - angle for angle in found] if half_space else []
    return {*found, *opposites}

"""Histograms of the angles between neurons."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_mhe._figure import new_figure
from keras_mhe._text import in_picture
from keras_mhe.analysis._angles import optimal_angles, random_angle_density
from keras_mhe.analysis._kernel_audit import KernelAudit


def angle_figure(
    after: Sequence[KernelAudit], before: Mapping[str, KernelAudit]
) -> Any:
    """Draws each layer, and behind it the earlier one of its name."""
    num_columns = min(len(after), 4)
    num_rows = -(-len(after) // num_columns)
    figure = new_figure(3.4 * num_columns, 2.4 * num_rows + 0.6)
    grid = figure.subplots(num_rows, num_columns, squeeze=False).flat
    for axes, row in zip(grid, after, strict=False):
        draw_angles(axes, row, before.get(row.layer))
    for axes in grid[len(after) :]:
        axes.remove()
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        found = axes.get_legend_handles_labels()
        handles |= dict(zip(found[1], found[0], strict=True))
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=2 if num_columns == 1 else 4,
    )
    return figure


def draw_angles(
    axes: Any, row: KernelAudit, before: KernelAudit | None = None
) -> None:
    """Draws the histogram of one layer.

    Args:
        axes: Matplotlib's.
        row: The layer.
        before: The same layer at another time.
    """
    drawn = [("after" if before else "neurons", "C0", row)]
    if before is not None:
        drawn.insert(0, ("before", "0.5", before))
    for label, color, one in drawn:
        counts = one.angle_counts / max(one.angle_counts.sum(), 1)
        edges = np.arange(len(counts) + 1)
        axes.stairs(
            counts, edges, fill=True, alpha=0.6, color=color, label=label
        )
    low, high = _range([one.angle_counts for _, _, one in drawn])
    half_space = row.form.half_space
    optimum: tuple[float, ...] = ()
    if row.living > 1:
        optimum = optimal_angles(
            row.living,
            row.dim,
            distance=row.form.distance,
            half_space=half_space,
        )
    low = max(min([low, *optimum]) - 2.0, 0.0)
    # A little more than the largest, for a line at it.
    high = min(max([high, *optimum]) + 2.0, 91.0 if half_space else 182.0)
    degrees = np.linspace(low, min(high, len(row.angle_counts)), 400)
    density = random_angle_density(degrees, row.dim, half_space=half_space)
    axes.plot(degrees, density, "--", color="C1", lw=1.2, label="random")
    # More neurons than dimensions may not reach the angles of the bound.
    is_reached = not half_space or row.living <= row.dim
    style, name = ("-", "optimal") if is_reached else (":", "bound")
    for angle in optimum:
        axes.axvline(angle, color="C3", ls=style, lw=1.2, label=name)
    axes.set_xlim(low, high)
    axes.set_ylim(bottom=0.0)
    axes.set_title(
        f"{in_picture(row.layer)}\n{row.num_neurons} in dimension {row.dim}",
        fontsize="small",
    )
    axes.set_xlabel("degrees")
    axes.set_yticks([])


def _range(counts: Sequence[np.ndarray]) -> tuple[float, float]:
    """First and last degree that occur."""
    found = np.flatnonzero(sum(counts))
    if len(found) == 0:
        return 0.0, 90.0
    return math.floor(found[0]), math.ceil(found[-1] + 1)

"""Neurons of three entries, where they are on the sphere."""

from typing import Any

import numpy as np
from keras import ops

from keras_mhe._figure import new_figure
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_axes, check_boolean
from keras_mhe.ops._pairs.neurons import (
    float_tensor,
    neuron_columns,
    unit_columns,
)


def sphere(
    weights: Tensor,
    *,
    before: Tensor | None = None,
    half_space: bool = False,
    neuron_axis: int | tuple[int, ...] = -1,
) -> Any:
    """Draws the directions of neurons that have three entries.

    Args:
        weights: Kernel of rank 2 or more whose neurons have three entries:
            an array, a tensor or a variable.
        before: `None`, or another kernel, drawn grey beside it. Defaults to
            `None`.
        half_space: Bool. Whether to draw the lines, with the opposites of
            the neurons hollow. Defaults to `False`.
        neuron_axis: Int or tuple of ints. The axes that count the neurons.
            Defaults to `-1`.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the neurons do not have three entries, or the kernel
            does not have the axes.
        ImportError: If matplotlib is not installed.

    Example:
        >>> import numpy as np
        >>> from keras_mhe import plots
        >>> figure = plots.sphere(np.eye(3, dtype="float32"))
        >>> len(figure.axes)
        1
    """
    neuron_axis = check_axes(neuron_axis)
    half_space = check_boolean("half_space", half_space)
    drawn = [(_points("weights", weights, neuron_axis), "C0", "")]
    if before is not None:
        earlier = _points("before", before, neuron_axis)
        drawn = [(earlier, "0.4", "before"), (drawn[0][0], "C0", "after")]
    figure = new_figure(4.0 * len(drawn), 4.2)
    for index, (points, color, title) in enumerate(drawn, start=1):
        axes = figure.add_subplot(1, len(drawn), index, projection="3d")
        _draw_globe(axes)
        _draw_points(axes, points, color, half_space)
        axes.set_title(title)
    return figure


def _points(
    name: str, weights: Tensor, neuron_axis: int | tuple[int, ...]
) -> np.ndarray:
    columns = neuron_columns(float_tensor(weights), neuron_axis)
    if columns.shape[0] != 3:
        raise ValueError(
            f"`{name}` must have neurons of three entries. Received: "
            f"{name}.shape={tuple(ops.shape(weights))}, "
            f"neuron_axis={neuron_axis}, so {columns.shape[0]} entries."
        )
    points: np.ndarray = ops.convert_to_numpy(unit_columns(columns))
    return points


def _draw_globe(axes: Any) -> None:
    turns = np.linspace(0.0, 2.0 * np.pi, 73)
    for height in np.radians([-60, -30, 0, 30, 60]):
        ring = np.cos(height)
        axes.plot(
            ring * np.cos(turns),
            ring * np.sin(turns),
            np.full_like(turns, np.sin(height)),
            color="0.8",
            lw=0.6,
        )
    for turn in np.radians(np.arange(0, 180, 30)):
        axes.plot(
            np.cos(turn) * np.cos(turns),
            np.sin(turn) * np.cos(turns),
            np.sin(turns),
            color="0.8",
            lw=0.6,
        )
    axes.set_box_aspect((1, 1, 1), zoom=1.4)
    axes.set_axis_off()


def _draw_points(
    axes: Any, points: np.ndarray, color: str, half_space: bool
) -> None:
    ends = points if not half_space else np.concatenate([points, -points], 1)
    for end in ends.T:
        axes.plot(*np.stack([0.0 * end, end], axis=1), color=color, lw=0.7)
    axes.scatter(*points, color=color, s=28)
    if half_space:
        axes.scatter(*-points, edgecolors=color, facecolors="none", s=28)

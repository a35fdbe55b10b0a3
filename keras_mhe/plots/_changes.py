"""Energies before and after something, and over the epochs of a training."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_mhe.analysis import Audit
from keras_mhe.plots._angles import rows_by_layer
from keras_mhe.plots._figure import new_figure

#: Keys of `EnergyMonitor` and the titles of their pictures.
_TITLES = {
    "energy": "energy",
    "energy_gap": "energy gap: 0 is the bound, 1 is random",
    "min_angle": "angle of the nearest two neurons, degrees",
}


def comparison(before: Audit, after: Audit) -> Any:
    """Draws gap and smallest angle of each layer before and after.

    Args:
        before: An `Audit`.
        after: An `Audit` of the same energy; the layers that both have are
            drawn. Layers without a gap have their angle only.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the two are of different energies or share no layer.
        ImportError: If matplotlib is not installed.

    Example:
        >>> import numpy as np
        >>> from keras_mhe import analysis, plots
        >>> random = np.random.default_rng(0).normal(size=(8, 8))
        >>> audits = map(analysis.audit_features, (random, np.eye(8)))
        >>> plots.comparison(*audits).axes[0].get_title()
        'energy gap: 0 is the bound, 1 is random'
    """
    earlier = rows_by_layer(after, before)
    rows = [row for row in after if row.layer in earlier]
    if not rows:
        raise ValueError(
            "`before` and `after` must share a layer. Received: "
            f"{[row.layer for row in before]} and "
            f"{[row.layer for row in after]}."
        )
    figure = new_figure(10.0, 0.3 * len(rows) + 1.6)
    positions = -np.arange(len(rows))
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, name, key in (
        (left, "gap", "energy_gap"),
        (right, "min_angle", "min_angle"),
    ):
        old = [getattr(earlier[row.layer], name) for row in rows]
        new = [getattr(row, name) for row in rows]
        axes.hlines(positions, old, new, color="0.6", lw=1)
        axes.plot(old, positions, "o", color="0.5", label="before")
        axes.plot(new, positions, "o", color="C0", label="after")
        axes.set_title(_TITLES[key], fontsize="medium")
        axes.grid(axis="x", alpha=0.3)
    # Even up to 2, where most gaps are, and logarithmic beyond.
    left.set_xscale("symlog", linthresh=2.0, linscale=2.0)
    left.xaxis.set_major_formatter("{x:g}")
    left.axvline(0.0, color="C3", lw=1)
    left.axvline(1.0, color="C1", lw=1, ls="--")
    largest = [row.max_angle for row in rows]
    right.plot(largest, positions, "|", color="C3", label="at most", ms=10)
    left.set_yticks(positions, [row.layer for row in rows], fontsize="small")
    figure.legend(
        *right.get_legend_handles_labels(), loc="outside lower center", ncols=3
    )
    return figure


def energies(
    logs: Mapping[str, Any], *, initial: Mapping[str, float] | None = None
) -> Any:
    """Draws what `EnergyMonitor` logged, over the epochs of a training.

    A line for each layer if the monitor had `per_layer=True`, else the
    totals.

    Args:
        logs: Mapping of the monitor's keys to a value for each epoch:
            `History.history`, or columns read from a `CSVLogger`'s file.
        initial: `None`, or `EnergyMonitor.initial`, drawn as epoch 0.
            Defaults to `None`.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If no key is one of the monitor's.
        ImportError: If matplotlib is not installed.

    Example:
        >>> from keras_mhe import plots
        >>> figure = plots.energies({"loss": [2, 1], "energy": [0.6, 0.5]})
        >>> [axes.get_title() for axes in figure.axes]
        ['energy']
    """
    found = {key: _lines(logs, key) for key in _TITLES}
    found = {key: lines for key, lines in found.items() if lines}
    if not found:
        raise ValueError(
            "`logs` must hold keys of EnergyMonitor, such as 'energy'. "
            f"Received: {sorted(logs)}."
        )
    figure = new_figure(5.0 * len(found), 4.0)
    for axes, (key, lines) in zip(
        figure.subplots(1, len(found), squeeze=False)[0],
        found.items(),
        strict=True,
    ):
        for index, (name, values) in enumerate(lines.items()):
            first, numbers = 1, list(values)
            if initial is not None and name in initial:
                first, numbers = 0, [initial[name], *numbers]
            axes.plot(
                first + np.arange(len(numbers)),
                numbers,
                color=_color(index, len(lines)),
                label=name.removeprefix(f"{key}/"),
            )
        if key == "energy_gap":
            axes.axhline(0.0, color="C3", lw=1)
            axes.axhline(1.0, color="C1", lw=1, ls="--")
        axes.set_title(_TITLES[key], fontsize="medium")
        axes.set_xlabel("epoch")
    if len(lines) > 1:
        axes.legend(
            loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small"
        )
    return figure


def _lines(logs: Mapping[str, Any], key: str) -> dict[str, Any]:
    by_layer = {k: v for k, v in logs.items() if k.startswith(f"{key}/")}
    return by_layer or ({key: logs[key]} if key in logs else {})


def _color(index: int, count: int) -> Any:
    """From dark to light in the order of the layers."""
    import matplotlib as mpl

    if count == 1:
        return "C0"
    return mpl.colormaps["viridis"](0.95 * index / (count - 1))

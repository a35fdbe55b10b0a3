"""Energies before and after something, and over the epochs of a training."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_mhe._figure import new_figure
from keras_mhe._text import in_picture
from keras_mhe.analysis import Audit
from keras_mhe.analysis._audit import rows_by_layer

#: Keys of `EnergyMonitor` and the titles of their pictures.
_TITLES = {
    "energy": "energy",
    "energy_gap": "energy gap: 0 is the bound, 1 is random",
    "min_angle": "angle of the nearest two neurons, degrees",
}


def comparison(
    before: Audit,
    after: Audit,
    *,
    labels: Sequence[str] = ("before", "after"),
) -> Any:
    """Draws gap and smallest angle of each layer before and after.

    Args:
        before: An `Audit`.
        after: An `Audit`; the layers that both have are drawn. Layers without
            a gap have their angle only.
        labels: What the two are called. Defaults to `("before", "after")`.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If one is no audit, if they share no layer, or if they
            measured a layer with different energies.
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
        axes.plot(old, positions, "o", color="0.5", label=in_picture(labels[0]))
        axes.plot(new, positions, "o", color="C0", label=in_picture(labels[1]))
        axes.set_title(_TITLES[key], fontsize="medium")
        axes.grid(axis="x", alpha=0.3)
    _draw_levels(left.axvline)
    gaps = [one.gap for row in rows for one in (row, earlier[row.layer])]
    top = max([gap for gap in gaps if not math.isnan(gap)], default=0.0)
    if top > 2.5:
        # Even up to 2, where most gaps are, and logarithmic beyond.
        left.set_xscale("symlog", linthresh=2.0, linscale=2.0)
        left.set_xlim(-0.2, 1.3 * top)
        ticks = [0, 1, *(d * 10**k for k in range(9) for d in (2, 5, 10))]
        left.set_xticks([tick for tick in ticks if tick <= 1.3 * top])
        left.xaxis.set_major_formatter("{x:g}")
        left.minorticks_off()
    largest = [row.max_min_angle for row in rows]
    right.plot(
        largest, positions, "|", color="C3", label="max_min_angle", ms=10
    )
    names = [in_picture(row.layer) for row in rows]
    left.set_yticks(positions, names, fontsize="small")
    shown = left.get_legend_handles_labels()[0]
    figure.legend(
        handles=[*shown, *right.get_legend_handles_labels()[0][2:]],
        loc="outside lower center",
        ncols=5,
    )
    return figure


def energies(logs: Any, *, initial: Mapping[str, float] | None = None) -> Any:
    """Draws what `EnergyMonitor` logged, over the epochs of a training.

    A line for each layer if the monitor had `per_layer=True`, else the
    totals.

    Args:
        logs: Keras' `History`, or a mapping of the monitor's keys to a value
            for each epoch, such as columns read from a `CSVLogger`'s file.
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
    logs = getattr(logs, "history", logs)
    found = {key: _lines(logs, key) for key in _TITLES}
    found = {key: lines for key, lines in found.items() if lines}
    if not found:
        raise ValueError(
            "`logs` must hold keys of EnergyMonitor, such as 'energy'. "
            f"Received: {sorted(logs)}."
        )
    names = list(
        dict.fromkeys(name for lines in found.values() for name in lines)
    )
    colors = _colors(names)
    figure = new_figure(5.0 * len(found), 4.0)
    for axes, (key, lines) in zip(
        figure.subplots(1, len(found), squeeze=False)[0],
        found.items(),
        strict=True,
    ):
        for name, values in lines.items():
            logged = f"{key}/{name}" if name else key
            first, numbers = 1, list(values)
            if initial is not None and logged in initial:
                first, numbers = 0, [initial[logged], *numbers]
            axes.plot(
                first + np.arange(len(numbers)),
                numbers,
                color=colors[name],
                marker="o" if len(numbers) < 3 else None,
                label=in_picture(name) or "all layers",
            )
        if key == "energy_gap":
            _draw_levels(axes.axhline)
        axes.set_title(_TITLES[key], fontsize="medium")
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        drawn, texts = axes.get_legend_handles_labels()
        handles |= dict(zip(texts, drawn, strict=True))
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside right center",
        fontsize="small",
    )
    return figure


def _draw_levels(line: Any) -> None:
    """Draws the gaps of bound and random directions by `axhline` or so."""
    line(0.0, color="C3", lw=1, label="bound")
    line(1.0, color="C1", lw=1, ls="--", label="random")


def _lines(logs: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Values by layer; those of all together have the name `""`."""
    start = f"{key}/"
    by_layer = {
        name.removeprefix(start): values
        for name, values in logs.items()
        if name.startswith(start)
    }
    return by_layer or ({"": logs[key]} if key in logs else {})


def _colors(names: Sequence[str]) -> dict[str, Any]:
    """From dark to light in the order of the layers."""
    import matplotlib as mpl

    if len(names) == 1:
        return {names[0]: "C0"}
    shades = mpl.colormaps["viridis"](np.linspace(0.0, 0.95, len(names)))
    return dict(zip(names, map(tuple, shades), strict=True))

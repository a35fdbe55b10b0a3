"""An empty figure of matplotlib, which is not needed for anything else."""

import importlib
from typing import Any


def require_matplotlib() -> None:
    """Raises `ImportError` if matplotlib is not installed."""
    try:
        importlib.import_module("matplotlib")
    except ImportError as error:
        raise ImportError(
            "pictures need matplotlib: pip install matplotlib"
        ) from error


def new_figure(width: float, height: float) -> Any:
    """Returns a `matplotlib.figure.Figure`, in inches.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")

"""An empty figure of matplotlib, which is not needed for anything else."""

from typing import Any


def new_figure(width: float, height: float) -> Any:
    """Returns a `matplotlib.figure.Figure`, in inches.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "`keras_mhe.plots` needs matplotlib: pip install matplotlib"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")

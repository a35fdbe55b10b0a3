"""Statistics of runs on the same seeds."""

import numpy as np
from scipy import stats


def spread(values: np.ndarray) -> float | None:
    """Sample standard deviation; `None` for a single value."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def interval(differences: np.ndarray) -> float | None:
    """Half width of the 95 % Student t interval of the mean.

    `None` for a single difference.
    """
    count = len(differences)
    if count < 2:
        return None
    quantile = stats.t.ppf(0.975, count - 1)
    return float(quantile * differences.std(ddof=1) / np.sqrt(count))


def markdown_table(rows: list[tuple[str, ...]]) -> str:
    """Returns rows as a Markdown table, the first one its header."""
    lines = [rows[0], ("---",) * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

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


def paired_difference(
    values: np.ndarray, reference: np.ndarray | None
) -> tuple[float | None, float | None]:
    """Mean of the differences seed by seed, and the half width of `interval`.

    Both are `None` without a reference.
    """
    if reference is None:
        return None, None
    return float((values - reference).mean()), interval(values - reference)


def with_sign(
    difference: float | None,
    half_width: float | None,
    digits: int,
    factor: float = 1.0,
) -> str:
    """Shows what `paired_difference` returned, `-` where nothing is compared.

    Args:
        difference: The mean.
        half_width: Of its interval.
        digits: After the point.
        factor: What both are multiplied by, 100 for percentage points.
    """
    if difference is None:
        return "-"
    shown = f"{factor * difference:+.{digits}f}"
    if half_width is None:
        return shown
    return f"{shown} ± {factor * half_width:.{digits}f}"


def markdown_table(rows: list[tuple[str, ...]]) -> str:
    """Returns rows as a Markdown table, the first one its header."""
    lines = [rows[0], ("---",) * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

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

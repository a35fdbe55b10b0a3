"""Times of several functions, taken in turns in one process."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median, quantiles
from typing import Any

#: Seconds that a function may take to be compiled.
COMPILE_LIMIT = 180


def interleaved(
    contenders: dict[str, Callable[[], None]],
    *,
    rounds: int,
    least_seconds: float,
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Calls A, B, C, A, B, C, ... so that all see the same disturbances.

    Args:
        contenders: Functions that return when their work is done.
        rounds: Number of samples of each.
        least_seconds: A sample repeats a function until about this long.

    Returns:
        Seconds per call, one number for each round; and the messages of the
        functions that failed, which have no seconds.
    """
    repeats, errors = {}, {}
    for name, run in contenders.items():
        try:
            with _time_limit(COMPILE_LIMIT):
                run()
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            errors[name] = f"{type(error).__name__}: {lines[0]}"[:200]
            continue
        seconds = min(_seconds(run, 1) for _ in range(2))
        repeats[name] = max(1, math.ceil(least_seconds / seconds))
    times: dict[str, list[float]] = {name: [] for name in repeats}
    for _ in range(rounds):
        for name, count in repeats.items():
            times[name].append(_seconds(contenders[name], count) / count)
    return times, errors


def ratio(numerator: list[float], denominator: list[float]) -> list[float]:
    """Median, lower and upper quartile of the rounds' ratios."""
    pairs = zip(numerator, denominator, strict=True)
    ratios = [above / below for above, below in pairs]
    low, _, high = quantiles(ratios, n=4, method="inclusive")
    return [significant(number) for number in (median(ratios), low, high)]


def significant(number: float) -> float:
    """Four digits are more than a time is worth."""
    return float(f"{number:.4g}")


def _seconds(run: Callable[[], Any], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        run()
    return time.perf_counter() - start


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"not compiled within {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)

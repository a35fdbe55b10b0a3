"""Set-up of every test: seeds, full tracebacks, and how many cases are run."""

import itertools
import os

import hypothesis
import keras
import pytest

from support.gradients import IS_THOROUGH

keras.config.disable_traceback_filtering()

# The same examples in every run, however slow the machine.
hypothesis.settings.register_profile(
    "reproducible",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=200 if "KERAS_MHE_THOROUGH" in os.environ else 20,
)
hypothesis.settings.load_profile("reproducible")


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


def pytest_collection_modifyitems(config, items):
    """Thins the grids of parameters, except on PyTorch and in thorough runs.

    The other backends compile every case anew. Of a parameter with more than
    `MAX_VALUES` values as many are kept, evenly spaced, and each value that is
    kept meets only some of those of the other parameters.
    """
    if IS_THOROUGH:
        return
    kept, left_out = [], []
    for _, group in itertools.groupby(items, lambda item: item.originalname):
        cases = list(group)
        chosen = _cover(cases)
        kept += [case for case in cases if case in chosen]
        left_out += [case for case in cases if case not in chosen]
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


MAX_VALUES = 4


def _cover(cases):
    """Chooses cases, always one with the most values that are still missing."""
    if len(cases) == 1 or cases[0].get_closest_marker("whole_grid"):
        return cases
    places = {}
    for case in cases:
        for name, value in case.callspec.params.items():
            seen = places.setdefault(name, {})
            seen.setdefault(repr(value), len(seen))
    values = {}
    for case in cases:
        values[case] = {
            # Neighbours count as one value.
            (name, places[name][repr(value)] * MAX_VALUES // len(places[name]))
            if len(places[name]) > MAX_VALUES
            else (name, repr(value))
            for name, value in case.callspec.params.items()
        }
    missing, chosen = set().union(*values.values()), []
    while missing:
        best = max(cases, key=lambda case: len(values[case] & missing))
        chosen.append(best)
        missing -= values[best]
    return chosen

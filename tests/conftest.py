"""Set-up of every test: seeds, full tracebacks, reproducible Hypothesis."""

import hypothesis
import keras
import pytest

keras.config.disable_traceback_filtering()

# The same examples in every run, however slow the machine.
hypothesis.settings.register_profile(
    "reproducible", derandomize=True, deadline=None, database=None
)
hypothesis.settings.load_profile("reproducible")


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)

"""Training on several devices gives what training on one gives.

The programs `tests/support/distributed_*.py` do the work, in processes of
their own: on four virtual devices with JAX, on two logical CPUs with
TensorFlow, in two processes with PyTorch.
"""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_mhe
from support import distributed_model

pytestmark = pytest.mark.whole_grid

BACKEND = keras.backend.backend()
TESTS = Path(__file__).resolve().parents[1]

#: Runs on several devices: the form of the energy and the way.
RUNS = [
    (form, way)
    for form, ways in {
        "jax": dict.fromkeys(
            ("regularizer", "anchors", "heads"),
            ("data_parallel", "model_parallel"),
        ),
        "tensorflow": dict.fromkeys(
            ("regularizer", "anchors", "heads"), ("mirrored",)
        ),
        # One record from each process.
        "torch": {
            "regularizer": (
                "parallel_0", "parallel_1", "divided_0", "divided_1",
            ),
            "anchors": ("parallel_0", "parallel_1"),
        },
    }[BACKEND].items()
    for way in ways
]  # fmt: skip

#: Largest difference from the run on one device. Sums in another order make
#: it 4e-6 for losses around 30, and 5e-6 for weights around 2.
TOLERANCE = {"loss": 2e-5, "weights": 1e-5}


def run(module, *arguments, **variables):
    """Runs a module of `tests/support` as a program."""
    paths = [str(TESTS), str(Path(keras_mhe.__file__).parents[1])]
    finished = subprocess.run(
        [sys.executable, "-m", f"support.{module}", *map(str, arguments)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Arrays by `form.way.quantity`."""
    folder = tmp_path_factory.mktemp("distributed")
    # On JAX most of the time is compiling, and this halves it.
    fast = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    run(f"distributed_{BACKEND}", folder, **fast)
    arrays = {}
    for path in folder.glob("*.npz"):
        with np.load(path) as file:
            arrays.update(file)
    return arrays


@pytest.mark.parametrize(("form", "way"), RUNS)
def test_same_as_on_one_device(form, way, results):
    for quantity, tolerance in TOLERANCE.items():
        np.testing.assert_allclose(
            results[f"{form}.{way}.{quantity}"],
            results[f"{form}.one.{quantity}"],
            rtol=0.0,
            atol=tolerance,
        )
    assert set(results[f"{form}.{way}.steps"]) <= {distributed_model.STEPS}


if BACKEND == "jax":

    @pytest.mark.parametrize(
        "form",
        [
            "half",
            "half_epsilon",
            "angular",
            "groups",
            "anchors_half",
            "anchors_groups",
            "on_one_device",
        ],
    )
    def test_every_form_of_a_divided_kernel(form, results):
        assert np.all(results[f"kernel.{form}.errors"] < 1e-5)
        is_divided = results[f"kernel.{form}.shards"]
        assert is_divided == (form not in {"groups", "on_one_device"})

    @pytest.mark.slow
    def test_a_device_holds_its_part_of_a_kernel():
        run("distributed_jax_memory")

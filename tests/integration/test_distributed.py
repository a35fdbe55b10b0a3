"""Training on several devices gives what training on one gives.

The programs `tests/support/distributed_*.py` do the work, in processes of
their own: on four virtual devices with JAX, on two logical CPUs with
TensorFlow, in two processes with PyTorch.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_mhe
from support import distributed_model, numpy_reference

pytestmark = pytest.mark.whole_grid

BACKEND = keras.backend.backend()
TESTS = Path(__file__).resolve().parents[1]

#: Runs on several devices: the form of the energy and the way.
RUNS = {
    "jax": [
        ("regularizer", "data_parallel"),
        ("regularizer", "model_parallel_1x4"),
        ("regularizer", "model_parallel_2x2"),
        ("anchors", "data_parallel"),
        ("anchors", "model_parallel_1x4"),
        ("anchors", "model_parallel_2x2"),
    ],
    "tensorflow": [("regularizer", "mirrored"), ("anchors", "mirrored")],
    # One record from each process.
    "torch": [
        ("regularizer", "parallel_0"),
        ("regularizer", "parallel_1"),
        ("regularizer", "parallel_divided_0"),
        ("regularizer", "parallel_divided_1"),
        ("anchors", "parallel_0"),
        ("anchors", "parallel_1"),
    ],
}[BACKEND]

#: Largest difference from the run on one device. Sums in another order make
#: it 4e-6 for losses around 30, 1e-6 for gradients and weights around 2, on
#: another processor 5.3e-6 for the weights of a head after eight steps.
TOLERANCE = {"loss": 2e-5, "gradient": 5e-6, "weights": 1e-5}

each_run = pytest.mark.parametrize(("form", "way"), RUNS)
each_form = pytest.mark.parametrize("form", distributed_model.FORMS)
each_quantity = pytest.mark.parametrize("quantity", TOLERANCE)


def run(module, *arguments, **variables):
    """Runs a module of `tests/support` as a program."""
    paths = [str(TESTS), str(Path(keras_mhe.__file__).parents[1])]
    return subprocess.run(
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
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Arrays by `form.way.quantity`."""
    folder = tmp_path_factory.mktemp("distributed")
    # On JAX most of the time is compiling, and this halves it.
    fast = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    finished = run(f"distributed_{BACKEND}", folder, **fast)
    assert finished.returncode == 0, finished.stderr
    arrays = {}
    for path in folder.glob("*.npz"):
        with np.load(path) as file:
            arrays.update(file)
    return arrays


def difference(results, quantity, first, second):
    gap = results[f"{first}.{quantity}"] - results[f"{second}.{quantity}"]
    return np.abs(gap).max()


@each_run
@each_quantity
def test_same_as_on_one_device(quantity, form, way, results):
    gap = difference(results, quantity, f"{form}.{way}", f"{form}.one")
    assert gap < TOLERANCE[quantity]


@each_quantity
@pytest.mark.parametrize("other", ["doubled", "plain"])
def test_another_number_of_counts_would_be_seen(other, quantity, results):
    gap = difference(
        results, quantity, f"regularizer.{other}", "regularizer.one"
    )
    assert gap > 1e3 * TOLERANCE[quantity]


@each_run
def test_energy_counts_once(form, way, results):
    added = results[f"{form}.{way}.loss"] - results["regularizer.plain.loss"]
    np.testing.assert_allclose(added[0], sum(energies(form)), rtol=1e-5)


def energies(form):
    """What the energies of the hidden layer and the classifier add at first."""
    model = distributed_model.make_model("regularizer")
    _, labels = next(distributed_model.batches())
    for name, arguments in {
        "hidden": {"half_space": True},
        "classifier": {"anchors": labels if form == "anchors" else None},
    }.items():
        kernel = keras.ops.convert_to_numpy(model.get_layer(name).kernel)
        energy = numpy_reference.energy(kernel, **arguments)
        yield distributed_model.STRENGTH * energy


if BACKEND != "torch":
    HEAD_WAYS = {
        "tensorflow": ["mirrored"],
        "jax": ["data_parallel", "model_parallel"],
    }[BACKEND]

    @pytest.fixture(scope="module")
    def heads(tmp_path_factory):
        """Differences by head and way, see `distributed_heads`."""
        path = tmp_path_factory.mktemp("heads") / "report.json"
        finished = run("distributed_heads", path)
        assert path.exists(), finished.stderr
        return json.loads(path.read_text())

    @pytest.mark.parametrize("way", HEAD_WAYS)
    @pytest.mark.parametrize("head", ["lambda", "regularizer", "energy"])
    def test_heads(head, way, heads):
        report = heads[f"{head}.{way}"]
        assert report["loss"] < TOLERANCE["loss"]
        assert report["weights"] < TOLERANCE["weights"]
        assert report["step"] == 8


if BACKEND == "jax":

    @each_form
    @pytest.mark.parametrize(
        ("way", "parts"),
        [
            ("data_parallel", 1),
            ("model_parallel_1x4", 4),
            ("model_parallel_2x2", 2),
        ],
    )
    def test_each_device_holds_its_part(form, way, parts, results):
        shape = [distributed_model.DIM, distributed_model.CLASSES // parts]
        assert results[f"{form}.{way}.shards"].tolist() == [shape] * 4

    def test_energy_outside_of_training(results):
        _, energy = energies("regularizer")
        np.testing.assert_allclose(
            results["regularizer.eager.energy"], energy, rtol=1e-5
        )

    @pytest.fixture(scope="module")
    def forms(tmp_path_factory):
        """Relative errors by form, see `distributed_jax_forms`."""
        path = tmp_path_factory.mktemp("forms") / "errors.json"
        finished = run("distributed_jax_forms", path)
        assert path.exists(), finished.stderr
        return json.loads(path.read_text())

    @pytest.mark.parametrize("form", distributed_model.SHARDED_FORMS)
    def test_every_form_of_a_sharded_kernel(form, forms):
        value, gradient, is_sharded = forms[form]
        assert value < 1e-5
        assert gradient < 1e-5
        assert is_sharded == (form not in {"groups", "on_one_device"})

    MEMORY_CASES = ("regularizer", "regularizer_2x2", "anchors", "train_step")

    @pytest.fixture(scope="module")
    def memory(tmp_path_factory):
        """Facts by case, see `distributed_jax_memory`."""
        path = tmp_path_factory.mktemp("memory") / "facts.json"
        finished = run("distributed_jax_memory", path, *MEMORY_CASES)
        assert path.exists(), finished.stderr
        return json.loads(path.read_text())

    @pytest.mark.parametrize("case", MEMORY_CASES)
    def test_device_gets_and_returns_its_shard(case, memory):
        facts = memory[case]
        for kind in ("arguments", "results"):
            assert 1.0 <= facts[kind] / facts["shard"] < 1.01

    @pytest.mark.parametrize("case", MEMORY_CASES)
    def test_device_holds_no_more_than_it_must(case, memory):
        facts = memory[case]
        assert facts["temporary"] <= facts["temporary_limit"]
        # So neither a table of all pairs nor the whole kernel.
        shapes = facts["largest_shapes"]
        assert facts["largest"] <= facts["largest_limit"], shapes

    @pytest.mark.parametrize("case", MEMORY_CASES[:3])
    def test_large_sharded_kernel(case, memory):
        # Relative errors of value and gradient, many tiles on each device.
        value, gradient = memory[case]["errors"]
        assert value < 1e-6
        assert gradient < 1e-5


if BACKEND == "tensorflow":

    @each_form
    def test_each_device_holds_the_kernel(form, results):
        shape = [distributed_model.DIM, distributed_model.CLASSES]
        assert results[f"{form}.mirrored.shards"].tolist() == [shape] * 2

    def test_undivided_energy_of_a_model_counts_on_each_device(results):
        once = results["anchors.mirrored.loss"][0]
        twice = results["anchors.mirrored_undivided.loss"][0]
        _, energy = energies("anchors")
        np.testing.assert_allclose(twice - once, energy, rtol=1e-5)

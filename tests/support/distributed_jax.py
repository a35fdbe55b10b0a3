"""Trains the models of `distributed_model` on one and on four JAX devices.

Compares forms of the energy of a divided kernel on four devices and on one,
too. Needs XLA_FLAGS=--xla_force_host_platform_device_count=4.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import jax
import keras
import numpy as np

from keras_mhe.ops import hyperspherical_energy
from keras_mhe.ops._pairs import sums
from support import distributed_model
from support.distributed_model import BLOCK_SIZE, CLASSES, DIM

#: Forms of the energy of a kernel that is spread over devices.
SHARDED_FORMS = {
    "half": {"half_space": True},
    "half_epsilon": {"half_space": True, "epsilon": 0.5},
    "angular": {"distance": "angular", "half_space": True},
    "groups": {"groups": 2},
    "anchors_half": {"anchors": [0, 3, 3, 39], "half_space": True},
    "anchors_groups": {"anchors": [0, 3, 3, 39], "groups": 2},
    "on_one_device": {},
}


def model_parallel(shape):
    mesh = keras.distribution.DeviceMesh(shape, ("batch", "model"))
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*(classifier|head.*|arc_face.*)/kernel"] = (None, "model")
    layout[".*classifier/bias"] = ("model",)
    return keras.distribution.ModelParallel(
        layout_map=layout, batch_dim_name="batch"
    )


def train(ways):
    """Records of all runs."""
    runs = {}
    for form in ("regularizer", "anchors", "heads"):
        model = distributed_model.make_model(form)
        runs[form, "one"] = distributed_model.fit(model)
        for name, distribution in ways.items():
            with distribution.scope():
                model = distributed_model.make_model(form)
                runs[form, name] = distributed_model.fit(model)
    return runs


def make_kernel():
    """Columns of every kind."""
    columns = np.random.default_rng(0).normal(size=(DIM, CLASSES))
    columns[:, 1] = 0.0
    columns[:, 12] = columns[:, 30]
    columns[:, 39] = -columns[:, 5]
    columns[0, 20] = np.nan
    return columns.astype("float32")


def compare(name, form):
    """Relative errors of value and gradient, and how often shards were met."""
    kernel = make_kernel()

    def energy(columns, block_size=BLOCK_SIZE):
        return hyperspherical_energy(columns, block_size=block_size, **form)

    def whole(columns):
        return energy(columns, block_size=CLASSES)

    expected = jax.jit(jax.value_and_grad(whole))(kernel)
    distribution = model_parallel((1, 4))
    classifier = SimpleNamespace(path="classifier/kernel", shape=(DIM, CLASSES))
    place = distribution.get_variable_layout(classifier).backend_layout
    step = jax.value_and_grad(energy)
    if name == "on_one_device":
        place = jax.devices()[0]
    elif name != "half":  # As a callback computes it, outside of a step.
        step = jax.jit(step)
    spies = [
        mock.patch.object(sums, table, wraps=getattr(sums, table))
        for table in ("sharded_table_of_all_pairs", "sharded_table_of_anchors")
    ]
    with distribution.scope(), spies[0] as pairs, spies[1] as anchors:
        actual = step(jax.device_put(kernel, place))
    errors = [
        np.abs(np.asarray(a) - e).max() / np.abs(e).max()
        for a, e in zip(actual, expected, strict=True)
    ]
    return {"errors": errors, "shards": pairs.called or anchors.called}


def main(folder):
    ways = {
        "data_parallel": keras.distribution.DataParallel(),
        "model_parallel": model_parallel((2, 2)),
    }
    distributed_model.save(folder / "runs.npz", train(ways))
    errors = {
        ("kernel", name): compare(name, form)
        for name, form in SHARDED_FORMS.items()
    }
    distributed_model.save(folder / "errors.npz", errors)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

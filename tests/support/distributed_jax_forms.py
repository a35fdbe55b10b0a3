"""Compares forms of the energy of a kernel on four JAX devices and on one.

Needs XLA_FLAGS=--xla_force_host_platform_device_count=4. Stores for each form
the relative errors of value and gradient, and whether the kernel's columns
were met where they are.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import jax
import numpy as np

from keras_mhe.functional import _pairs, hyperspherical_energy
from support.distributed_jax import model_parallel
from support.distributed_model import (
    BLOCK_SIZE,
    CLASSES,
    DIM,
    SHARDED_FORMS,
)

#: What the layout asks of a weight.
CLASSIFIER = SimpleNamespace(path="classifier/kernel", shape=(DIM, CLASSES))


def kernel():
    """Columns of every kind."""
    columns = np.random.default_rng(0).normal(size=(DIM, CLASSES))
    columns[:, 1] = 0.0
    columns[:, 12] = columns[:, 30]
    columns[:, 39] = -columns[:, 5]
    columns[0, 20] = np.nan
    return columns.astype("float32")


def on_several_devices(columns, form):
    """Value, gradient, and whether they were computed on the shards."""

    def energy(columns):
        return hyperspherical_energy(columns, block_size=BLOCK_SIZE, **form)

    tables = {
        name: mock.patch.object(_pairs, name, wraps=getattr(_pairs, name))
        for name in ("sharded_table_of_all_pairs", "sharded_table_of_anchors")
    }
    distribution = model_parallel((1, 4))
    if not isinstance(columns, jax.Array):
        layout = distribution.get_variable_layout(CLASSIFIER)
        columns = jax.device_put(columns, layout.backend_layout)
    with distribution.scope():
        spies = [table.start() for table in tables.values()]
        result = jax.value_and_grad(energy)(columns)
        mock.patch.stopall()
    return *result, any(spy.called for spy in spies)


def relative_error(actual, expected):
    actual, expected = np.asarray(actual), np.asarray(expected)
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def main(path):
    columns = kernel()
    errors = {}
    for name, form in SHARDED_FORMS.items():
        expected = jax.value_and_grad(
            lambda columns, form=form: hyperspherical_energy(
                columns, block_size=CLASSES, **form
            )
        )(columns)
        weights = columns
        if name == "on_one_device":
            weights = jax.device_put(columns, jax.devices()[0])
        value, gradient, is_sharded = on_several_devices(weights, form)
        errors[name] = (
            relative_error(value, expected[0]),
            relative_error(gradient, expected[1]),
            is_sharded,
        )
    path.write_text(json.dumps(errors))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

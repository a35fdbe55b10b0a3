"""Trains the model of `distributed_model` on one and on four JAX devices.

Needs XLA_FLAGS=--xla_force_host_platform_device_count=4.
"""

import sys
from pathlib import Path

import keras

from support import distributed_model
from support.tensors import as_float


def model_parallel(shape):
    mesh = keras.distribution.DeviceMesh(shape, ("batch", "model"))
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*classifier/kernel"] = (None, "model")
    layout[".*classifier/bias"] = ("model",)
    return keras.distribution.ModelParallel(
        layout_map=layout, batch_dim_name="batch"
    )


def main(folder):
    ways = {
        "data_parallel": keras.distribution.DataParallel(),
        "model_parallel_1x4": model_parallel((1, 4)),
        "model_parallel_2x2": model_parallel((2, 2)),
    }
    runs = {
        (form, name): distributed_model.fit(
            distributed_model.make_model(form, strength)
        )
        for (form, name), strength in distributed_model.ON_ONE.items()
    }
    for form in distributed_model.FORMS:
        for name, distribution in ways.items():
            with distribution.scope():
                model = distributed_model.make_model(form)
                record = distributed_model.fit(model)
            kernel = model.get_layer("classifier").kernel.value
            record["shards"] = [
                shard.data.shape for shard in kernel.addressable_shards
            ]
            runs[form, name] = record
    with ways["model_parallel_1x4"].scope():
        # Outside of a training step, as a callback computes it.
        model = distributed_model.make_model("regularizer")
        (energy,) = model.get_layer("classifier").losses
    runs["regularizer", "eager"] = {"energy": as_float(energy)}
    distributed_model.save(folder / "runs.npz", runs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

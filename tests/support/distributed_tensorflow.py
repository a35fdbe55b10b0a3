"""Trains the model of `distributed_model` on one and on two logical CPUs."""

import sys
from pathlib import Path

import tensorflow as tf

from support import distributed_model


def main(folder):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    runs = {
        (form, name): distributed_model.fit(
            distributed_model.make_model(form, strength)
        )
        for (form, name), strength in distributed_model.ON_ONE.items()
    }
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for form in distributed_model.FORMS:
        with strategy.scope():
            model = distributed_model.make_model(form)
        # Keras divides the losses of layers, and not those of a model.
        model.replicas = strategy.num_replicas_in_sync
        runs[form, "mirrored"] = distributed_model.fit(model)
        kernel = model.get_layer("classifier").kernel.value
        shapes = [copy.shape for copy in kernel.values]
        runs[form, "mirrored"]["shards"] = shapes
    with strategy.scope():
        model = distributed_model.make_model("anchors")
    runs["anchors", "mirrored_undivided"] = distributed_model.fit(model, 1)
    distributed_model.save(folder / "runs.npz", runs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Trains the models of `distributed_model` on one and on two logical CPUs."""

import sys
from pathlib import Path

import tensorflow as tf

from support import distributed_model


def main(folder):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    runs = {}
    for form in ("regularizer", "anchors", "heads"):
        model = distributed_model.make_model(form)
        runs[form, "one"] = distributed_model.fit(model)
        with strategy.scope():
            model = distributed_model.make_model(form)
        # Keras divides the losses of layers, and not those of a model.
        model.replicas = strategy.num_replicas_in_sync
        runs[form, "mirrored"] = distributed_model.fit(model)
    distributed_model.save(folder / "runs.npz", runs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A training step with a million classes, sharded over four devices.

    PYTHONPATH=. python docs/benchmarks/sharded_classifier.py

JAX with four virtual devices, each with a quarter of the classifier's kernel.
A step takes the cross-entropy of a batch among the classes of the batch, and
the energy between these classes (the anchors) and all others. Prints the
times of the first step, which compiles, and of the next ones, and the peak
memory of the process, which holds all four devices.
"""

import argparse
import os
import resource
import time
from statistics import median

os.environ["KERAS_BACKEND"] = "jax"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import keras
import numpy as np
from keras import ops

from keras_mhe.ops import hyperspherical_energy

DEVICES = 4


class SampledClassifier(keras.layers.Layer):
    """Logits of the batch's classes; their energy against all classes."""

    def __init__(self, num_classes: int, strength: float) -> None:
        super().__init__(name="classifier")
        self.num_classes = num_classes
        self.strength = strength

    def build(self, input_shape: list[tuple[int, ...]]) -> None:
        """Makes the kernel, one column for each class."""
        dim = input_shape[0][-1]
        self.kernel = self.add_weight(
            shape=(dim, self.num_classes), name="kernel"
        )

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Returns logits `(batch, batch)` of features and labels."""
        features, labels = inputs
        energy = hyperspherical_energy(self.kernel, anchors=labels)
        self.add_loss(self.strength * energy)
        return features @ ops.take(self.kernel, labels, axis=1)


def make_model(num_classes: int, dim: int) -> keras.Model:
    """The classifier on given features, compiled."""
    features = keras.Input((dim,))
    labels = keras.Input((), dtype="int32")
    logits = SampledClassifier(num_classes, 10.0)([features, labels])
    model = keras.Model([features, labels], logits)
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def peak_memory() -> float:
    """Largest resident memory of the process so far, in GB (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    """Trains and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--anchors", type=int, default=256)
    parser.add_argument("--steps", type=int, default=3)
    arguments = parser.parse_args()

    mesh = keras.distribution.DeviceMesh((1, DEVICES), ("batch", "model"))
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*classifier/kernel"] = (None, "model")
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(
            layout_map=layout, batch_dim_name="batch"
        )
    )
    model = make_model(arguments.classes, arguments.dim)
    kernel = model.get_layer("classifier").kernel
    generator = np.random.default_rng(0)
    print(
        f"{arguments.classes:,} classes of dimension {arguments.dim}, "
        f"{arguments.anchors} anchors, {DEVICES} devices; kernel "
        f"{4 * arguments.classes * arguments.dim / 1e9:.2f} GB; "
        f"{peak_memory():.2f} GB before the first step"
    )
    seconds = []
    for _ in range(1 + arguments.steps):
        labels = generator.choice(
            arguments.classes, arguments.anchors, replace=False
        ).astype("int32")
        features = generator.normal(size=(arguments.anchors, arguments.dim))
        start = time.perf_counter()
        loss = model.train_on_batch(
            [features.astype("float32"), labels], np.arange(arguments.anchors)
        )
        seconds.append(time.perf_counter() - start)
    shapes = {shard.data.shape for shard in kernel.value.addressable_shards}
    print(
        f"first step {seconds[0]:.1f} s, next {median(seconds[1:]):.1f} s, "
        f"peak {peak_memory():.2f} GB, loss {loss:.3f}, "
        f"each device holds {shapes}"
    )


if __name__ == "__main__":
    main()

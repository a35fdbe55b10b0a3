"""Trains heads on one device and on several, with TensorFlow or JAX.

    python -m support.distributed_heads FILE

On JAX needs XLA_FLAGS=--xla_force_host_platform_device_count=4. Stores for
each head and way the largest differences of losses and of weights from the
run on one device, and the steps that the head counted.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from keras_mhe import MHE
from keras_mhe.layers import ArcFace, SphereFace

CLASSES, BATCH, EPOCHS, SAMPLES = 8, 8, 2, 32
STEPS = EPOCHS * SAMPLES // BATCH
STRENGTH = 20.0

HEADS = {
    "lambda": lambda **kw: SphereFace(
        CLASSES, 4, lambda_base=10.0, name="head", **kw
    ),
    "regularizer": lambda **kw: ArcFace(
        CLASSES,
        scale=8.0,
        kernel_regularizer=MHE(STRENGTH, block_size=2),
        name="head",
        **kw,
    ),
    "energy": lambda **kw: ArcFace(
        CLASSES,
        scale=8.0,
        energy=MHE(STRENGTH, block_size=2),
        energy_warmup=4,
        name="head",
        **kw,
    ),
}


def train(make):
    """Losses, weights and counted steps."""
    keras.utils.set_random_seed(0)
    images, labels = keras.Input((6,)), keras.Input((), dtype="int32")
    head = make()
    features = keras.layers.Dense(4)(images)
    model = keras.Model([images, labels], head((features, labels)))
    model.compile(
        keras.optimizers.SGD(0.05),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x = np.random.default_rng(0).normal(size=(SAMPLES, 6)).astype("float32")
    y = np.arange(SAMPLES) % CLASSES
    history = model.fit(
        [x, y], y, BATCH, epochs=EPOCHS, shuffle=False, verbose=0
    ).history
    weights = [
        keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights
    ]
    step = int(keras.ops.convert_to_numpy(head.step))
    return np.array(history["loss"]), weights, step


def ways():
    """Contexts in which to make and train a model on several devices."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * 2,
        )
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        return {"mirrored": strategy.scope()}
    mesh = keras.distribution.DeviceMesh((1, 4), ("batch", "model"))
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*head/kernel"] = (None, "model")
    parallel = keras.distribution.ModelParallel(
        layout_map=layout, batch_dim_name="batch"
    )
    return {
        "data_parallel": keras.distribution.DataParallel().scope(),
        "model_parallel": parallel.scope(),
    }


def main(path):
    several = ways()
    one = {name: train(make) for name, make in HEADS.items()}
    report = {}
    for way, scope in several.items():
        with scope:
            for name, make in HEADS.items():
                losses, weights, step = train(make)
                report[f"{name}.{way}"] = {
                    "loss": float(np.abs(losses - one[name][0]).max()),
                    "weights": max(
                        float(np.abs(first - second).max())
                        for first, second in zip(
                            weights, one[name][1], strict=True
                        )
                    ),
                    "step": step,
                }
    path.write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

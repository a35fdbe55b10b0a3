"""Layers of Keras with a constraint on their kernel, and training steps."""

import keras
import numpy as np
from keras import layers

from support.ways import WAYS

#: A layer with the constraint, its input's shape, attribute and arguments.
CASES = {
    "Dense": (
        lambda c: layers.Dense(5, kernel_constraint=c),
        (4,),
        "kernel",
        {"neuron_axis": -1},
    ),
    "Conv2D": (
        lambda c: layers.Conv2D(5, 3, kernel_constraint=c),
        (5, 5, 2),
        "kernel",
        {"neuron_axis": -1},
    ),
    "Conv2DTranspose": (
        lambda c: layers.Conv2DTranspose(4, 3, kernel_constraint=c),
        (3, 3, 2),
        "kernel",
        {"neuron_axis": -2},
    ),
    "DepthwiseConv2D": (
        lambda c: layers.DepthwiseConv2D(
            2, depth_multiplier=3, depthwise_constraint=c
        ),
        (4, 4, 2),
        "kernel",
        {"neuron_axis": (-2, -1), "groups": 2},
    ),
    "Embedding": (
        lambda c: layers.Embedding(7, 3, embeddings_constraint=c),
        (4,),
        "embeddings",
        {"neuron_axis": 0},
    ),
    "one neuron": (
        lambda c: layers.Dense(1, kernel_constraint=c),
        (4,),
        "kernel",
        {"neuron_axis": -1},
    ),
}
#: A case, how it trains, and the dtype policy.
TRAINED = [
    *((case, "default", "float32") for case in CASES),
    ("Conv2D", "eager", "float32"),
    ("Conv2D", "default", "mixed_float16"),
    ("Dense", "default", "mixed_bfloat16"),
]


def trained_kernel(
    case: str, constraint: object, way: str, policy: str, steps: int = 50
) -> tuple[np.ndarray, object]:
    """Trains a layer for some steps; returns its kernel before and after."""
    make, shape, attribute, _ = CASES[case]
    generator = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        layer = make(constraint)
        model = keras.Sequential(
            [
                keras.Input(shape),
                layer,
                layers.Activation("tanh"),
                layers.Flatten(),
                layers.Dense(1),
            ]
        )
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.SGD(0.05), "mse", **WAYS[way])
    inputs = generator.normal(size=(steps, *shape)).astype("float32")
    if case == "Embedding":
        inputs = generator.integers(0, 7, (steps, *shape))
    kernel = getattr(layer, attribute)
    before = keras.ops.convert_to_numpy(kernel).copy()
    model.fit(inputs, np.ones(steps), batch_size=1, epochs=1, verbose=0)
    return before, kernel

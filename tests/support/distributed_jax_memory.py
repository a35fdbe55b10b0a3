"""What one device holds when a kernel is sharded over its classes.

    XLA_FLAGS=--xla_force_host_platform_device_count=4 KERAS_BACKEND=jax \\
    PYTHONPATH=.:tests python -m support.distributed_jax_memory FILE [CASE ...]

Compiles value and gradient of the energy of a kernel `(DIM, CLASSES)` that is
sharded over the devices of a mesh, and the training step of a classifier with
it. Asks the compiler what one device holds, and compares value and gradient
with those of one device. Prints the numbers of each case, stores them in a
JSON file, and ends with 1 if a limit is exceeded.
"""

import json
import re
import sys
from math import prod
from pathlib import Path

import jax
import keras
import numpy as np

from keras_mhe import MHE
from keras_mhe.functional import hyperspherical_energy
from support.distributed_jax import model_parallel
from support.distributed_model import cross_entropy

DIM, CLASSES = 128, 8192
ANCHORS, BATCH = 512, 8
#: Rows and columns of a tile of pairs.
BLOCK_SIZE = 128

# What one device may hold beside the arguments and results of the program.
#: Copies of its own shard that the energy works on: the unit vectors and the
#: sum of the gradient.
OWN_SHARDS = 2
#: Beyond its own: shards, and tables of one tile of pairs.
OTHER_SHARDS, TILES = 1, 4
#: With anchors also copies of their vectors: units and gradients.
ANCHOR_COPIES = 2
#: In a training step also the gradient of the cross-entropy, and tables of
#: the batch and the classes of the shard, such as logits.
STEP_SHARDS, STEP_TABLES = 1, 2

#: Function of the kernel, and shape of the mesh (batch, model).
CASES = {
    "regularizer": ("regularizer", (1, 4)),
    "regularizer_2x2": ("regularizer", (2, 2)),
    "anchors": ("anchors", (1, 4)),
    "train_step": ("train_step", (1, 4)),
    "tensor": ("tensor", (1, 4)),
}


def limits(function, num_shards):
    """Bytes of temporaries and elements of the largest array allowed."""
    rows = CLASSES // num_shards
    shard = DIM * rows
    tile = BLOCK_SIZE * (ANCHORS if function == "anchors" else BLOCK_SIZE)
    elements = (OWN_SHARDS + OTHER_SHARDS) * shard + TILES * tile
    if function == "anchors":
        elements += ANCHOR_COPIES * ANCHORS * DIM
    if function == "train_step":
        elements += STEP_SHARDS * shard + STEP_TABLES * BATCH * rows
    return 4 * elements, max(shard, tile)


def examine(function, mesh):
    """Numbers of one case: what is held, what may be held, errors."""
    distribution = model_parallel(mesh)
    with distribution.scope():
        model = make_model()
        if function == "train_step":
            compiled = compile_step(model, distribution)
        else:
            kernel = model.get_layer("classifier").kernel
            layout = kernel.value.sharding
            compiled = (
                jax.jit(
                    jax.value_and_grad(energy_of(model, function)),
                    out_shardings=(None, layout),
                )
                .lower(kernel.value)
                .compile()
            )
            several = compiled(kernel.value)
    temporary_limit, largest_limit = limits(function, mesh[1])
    memory = compiled.memory_analysis()
    arrays = shapes(compiled.as_text())
    facts = {
        "shard": 4 * DIM * CLASSES // mesh[1],
        "arguments": memory.argument_size_in_bytes,
        "results": memory.output_size_in_bytes,
        "temporary": memory.temp_size_in_bytes,
        "temporary_limit": temporary_limit,
        "largest": max(arrays),
        "largest_limit": largest_limit,
        "largest_shapes": arrays[max(arrays)],
    }
    if function != "train_step":
        one = on_one_device(function, np.asarray(kernel.value))
        facts["errors"] = [
            relative_error(*pair) for pair in zip(several, one, strict=True)
        ]
    return facts


def make_model():
    """A classifier with a kernel `(DIM, CLASSES)` and nothing else."""
    inputs = keras.Input((DIM,))
    outputs = keras.layers.Dense(
        CLASSES,
        use_bias=False,
        name="classifier",
        kernel_initializer=keras.initializers.RandomNormal(seed=0),
        kernel_regularizer=MHE(block_size=BLOCK_SIZE),
    )(inputs)
    return keras.Model(inputs, outputs)


def energy_of(model, function):
    """The energy as a function of the value of the classifier's kernel."""
    kernel = model.get_layer("classifier").kernel

    def energy(value):
        # As in Keras' training step.
        with keras.StatelessScope(state_mapping=[(kernel, value)]):
            if function == "regularizer":
                return sum(model.losses)
            return hyperspherical_energy(
                kernel, anchors=labels(ANCHORS), block_size=BLOCK_SIZE
            )

    # The distribution and the sharding are all that is known of a tensor.
    return MHE(block_size=BLOCK_SIZE) if function == "tensor" else energy


def labels(count):
    return np.arange(count, dtype="int32") * 97 % CLASSES


def compile_step(model, distribution):
    """Compiles the training step as `fit` does."""
    model.compile(keras.optimizers.SGD(0.1), cross_entropy())
    model.optimizer.build(model.trainable_variables)
    features = np.zeros((BATCH, DIM), "float32")
    state = tuple(
        [variable.value for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    )
    data = [
        jax.device_put(x, distribution.get_data_layout(x.shape).backend_layout)
        for x in (features, labels(BATCH))
    ]
    step = jax.jit(
        model.train_step,
        donate_argnums=0,
        out_shardings=(None, jax.tree.map(lambda x: x.sharding, state)),
    )
    return step.lower(state, tuple(data)).compile()


def shapes(program):
    """Maps the numbers of elements of a program's arrays to their shapes."""
    found = {}
    for shape in sorted(set(re.findall(r"\w+\[[\d,]+\]", program))):
        size = prod(map(int, shape.split("[")[1].rstrip("]").split(",")))
        found.setdefault(size, []).append(shape)
    return found


def on_one_device(function, kernel):
    """Value and gradient of the energy without a distribution."""
    model = make_model()
    return jax.jit(jax.value_and_grad(energy_of(model, function)))(kernel)


def relative_error(actual, expected):
    """Largest difference, as a fraction of the largest expected entry."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def main(path, *names):
    report = {name: examine(*CASES[name]) for name in names or CASES}
    Path(path).write_text(json.dumps(report))
    exceeded = False
    for name, facts in report.items():
        print(name)
        for kind, value in facts.items():
            print(f"  {kind}: {value}")
        for kind in ("temporary", "largest"):
            if facts[kind] > facts[f"{kind}_limit"]:
                print(f"  EXCEEDED: {kind}")
                exceeded = True
    return exceeded


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""What one device holds of a kernel that is divided over its classes.

Compiles value and gradient of the energy of a kernel `(DIM, CLASSES)` that is
divided over four devices, and asks the compiler what one device holds. Needs
XLA_FLAGS=--xla_force_host_platform_device_count=4.
"""

import jax
import keras
import numpy as np

from keras_mhe import MHE
from keras_mhe.ops import hyperspherical_energy
from support.distributed_jax import model_parallel

DIM, CLASSES, ANCHORS = 128, 8192, 512
#: Rows and columns of a tile of pairs.
BLOCK_SIZE = 128

SHARD = DIM * CLASSES // 4
#: Numbers that a device may hold beside its parts of the kernel and of the
#: gradient: three more parts and some tiles of pairs. With anchors also their
#: vectors and gradients. A whole kernel has four parts.
LIMITS = {
    "regularizer": 3 * SHARD + 4 * BLOCK_SIZE**2,
    "anchors": 3 * SHARD + 4 * BLOCK_SIZE * ANCHORS + 2 * ANCHORS * DIM,
}


def energy_of(kernel, model, form):
    """The energy as a function of the value of the classifier's kernel."""

    def energy(value):
        # As in Keras' training step.
        with keras.StatelessScope(state_mapping=[(kernel, value)]):
            if form == "regularizer":
                return sum(model.losses)
            anchors = np.arange(ANCHORS, dtype="int32") * 97 % CLASSES
            return hyperspherical_energy(
                kernel, anchors=anchors, block_size=BLOCK_SIZE
            )

    return energy


def main():
    with model_parallel((1, 4)).scope():
        layer = keras.layers.Dense(
            CLASSES,
            name="classifier",
            kernel_regularizer=MHE(block_size=BLOCK_SIZE),
        )
        model = keras.Sequential([keras.Input((DIM,)), layer])
        for form, limit in LIMITS.items():
            energy = energy_of(layer.kernel, model, form)
            value = layer.kernel.value
            step = jax.jit(
                jax.value_and_grad(energy), out_shardings=(None, value.sharding)
            )
            memory = step.lower(value).compile().memory_analysis()
            for kind in ("argument", "output"):
                size = getattr(memory, f"{kind}_size_in_bytes")
                assert size < 4.04 * SHARD, f"{form}: {kind}s of {size} bytes"
            size = memory.temp_size_in_bytes
            assert size <= 4 * limit, f"{form}: {size} bytes, not {4 * limit}"


if __name__ == "__main__":
    main()

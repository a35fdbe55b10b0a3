"""Compiled energies: the numbers of eager ones, traced once for all steps."""

import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import hyperspherical_energy
from support.retracing import COMPILERS, compiled

RNG = np.random.default_rng(0)
ANCHORS = [RNG.integers(0, 20, 6).astype("int32") for _ in range(3)]
KERNELS = [RNG.normal(size=(5, 20)).astype("float32") for _ in range(3)]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("block_size", [100, 6], ids=["table", "tiles"])
@pytest.mark.parametrize("with_anchors", [False, True], ids=["all", "anchors"])
def test_traced_once_for_all_steps(with_anchors, block_size, compiler):
    def energy(kernel, anchors):
        return hyperspherical_energy(
            kernel,
            half_space=True,
            block_size=block_size,
            anchors=anchors if with_anchors else None,
        )

    compiled_energy, num_traces = compiled(energy, compiler)
    counts = []
    for kernel, anchors in zip(KERNELS, ANCHORS, strict=True):
        kernel = ops.convert_to_tensor(kernel)
        anchors = ops.convert_to_tensor(anchors)
        np.testing.assert_allclose(
            ops.convert_to_numpy(compiled_energy(kernel, anchors)),
            ops.convert_to_numpy(energy(kernel, anchors)),
            rtol=1e-5,
        )
        counts.append(num_traces())
    assert counts[0] == counts[-1]

"""Energies in all ways of evaluation: the same numbers, traced once."""

import numpy as np
import pytest
from keras import ops

from keras_mhe.ops import hyperspherical_energy
from support import numpy_reference
from support.energies import assert_matches_loops, evaluate
from support.gradients import ALL_MODES, value_and_grad
from support.retracing import COMPILERS, compiled
from support.tensors import as_float, assert_near, random_array

KERNELS = [random_array(5, 20, seed=seed) for seed in range(3)]
ANCHORS = [[3, 19, 3, 0], [1, 2, 3, 4], [7, 7, 7, 8]]
each_table = pytest.mark.parametrize(
    "block_size", [100, 6], ids=["table", "tiles"]
)


@pytest.mark.parametrize("compiler", COMPILERS)
@each_table
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
        anchors = ops.convert_to_tensor(anchors, dtype="int32")
        np.testing.assert_allclose(
            as_float(compiled_energy(kernel, anchors)),
            as_float(energy(kernel, anchors)),
            rtol=1e-5,
        )
        counts.append(num_traces())
    assert counts[0] >= 1
    assert counts[0] == counts[-1]


WAYS = {
    "table-half": {"half_space": True},
    "tiles-half-angular": {
        "half_space": True,
        "distance": "angular",
        "block_size": 6,
    },
    "groups-tiles": {"groups": 2, "block_size": 3},
}


@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize("way", WAYS)
def test_value_and_gradient(way, mode):
    kernel = KERNELS[0].copy()
    # Near enough that an error in the third digit of the cosine is seen.
    kernel[:, 1] = kernel[:, 0] + 0.03 * kernel[:, 2]
    form = dict(WAYS[way])
    actual = evaluate(kernel, mode=mode, **form)
    assert actual.value_dtype == actual.gradient_dtype == "float32"
    form.pop("block_size", None)
    expected = numpy_reference.energy(kernel, **form)
    np.testing.assert_allclose(actual.value, expected, rtol=1e-3)
    gradient = numpy_reference.gradient(kernel, **form)
    assert_near(actual.gradient, gradient, 5e-3)


@pytest.mark.parametrize("mode", ALL_MODES)
@each_table
def test_traced_anchors(block_size, mode):
    form = {"half_space": True, "epsilon": 0.01}

    def energy(tensor, anchors):
        return hyperspherical_energy(
            tensor, anchors=anchors, block_size=block_size, **form
        )

    actual = value_and_grad(energy, KERNELS[0], ANCHORS[0], mode=mode)
    assert_matches_loops(actual, KERNELS[0], anchors=ANCHORS[0], **form)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    "wrong",
    [np.array([True, False]), np.array([[1], [2]]), np.zeros(0, "int32")],
    ids=["bools", "matrix", "none"],
)
def test_traced_anchors_are_checked(wrong, compiler):
    energy, _ = compiled(
        lambda kernel, anchors: hyperspherical_energy(kernel, anchors=anchors),
        compiler,
    )
    message = "`anchors` must be a non-empty vector of integers"
    with pytest.raises(ValueError, match=message):
        energy(ops.convert_to_tensor(KERNELS[0]), ops.convert_to_tensor(wrong))

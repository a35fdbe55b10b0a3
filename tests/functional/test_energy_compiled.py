"""Energies in all ways of evaluation: the same numbers, traced once."""

import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import hyperspherical_energy
from support import numpy_reference
from support.gradients import ALL_MODES, value_and_grad
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
    assert counts[0] >= 1
    assert counts[0] == counts[-1]


WAYS = {
    "table": {},
    "table-half": {"half_space": True},
    "tiles": {"block_size": 6},
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
    actual = value_and_grad(
        lambda tensor: hyperspherical_energy(tensor, **form), kernel, mode=mode
    )
    assert actual.value_dtype == actual.gradient_dtype == "float32"
    form.pop("block_size", None)
    expected = numpy_reference.energy(kernel, **form)
    np.testing.assert_allclose(actual.value, expected, rtol=1e-3)
    gradient = numpy_reference.gradient(kernel, **form)
    np.testing.assert_allclose(
        actual.gradient, gradient, atol=5e-3 * np.abs(gradient).max()
    )


@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize("block_size", [100, 6], ids=["table", "tiles"])
def test_value_and_gradient_with_traced_anchors(block_size, mode):
    def energy(tensor, anchors):
        return hyperspherical_energy(
            tensor, anchors=anchors, block_size=block_size, half_space=True
        )

    actual = value_and_grad(energy, KERNELS[0], ANCHORS[0], mode=mode)
    form = {"half_space": True, "anchors": ANCHORS[0]}
    expected = numpy_reference.energy(KERNELS[0], **form)
    np.testing.assert_allclose(actual.value, expected, rtol=1e-5)
    gradient = numpy_reference.gradient(KERNELS[0], **form)
    np.testing.assert_allclose(
        actual.gradient, gradient, atol=1e-4 * np.abs(gradient).max()
    )


WRONG = {
    "bools": np.array([True, False]),
    "matrix": np.array([[1], [2]]),
    "none": np.zeros(0, "int32"),
}


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("wrong", WRONG)
def test_traced_anchors_are_checked(wrong, compiler):
    energy, _ = compiled(
        lambda kernel, anchors: hyperspherical_energy(kernel, anchors=anchors),
        compiler,
    )
    anchors = ops.convert_to_tensor(WRONG[wrong])
    message = "`anchors` must be a non-empty vector of integers"
    with pytest.raises(ValueError, match=message):
        energy(ops.convert_to_tensor(KERNELS[0]), anchors)

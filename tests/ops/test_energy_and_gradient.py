"""`energy_and_gradient` is `hyperspherical_energy`, differentiated."""

import numpy as np
import pytest
from keras import ops

from keras_mhe.ops import energy_and_gradient
from support.energies import evaluate
from support.retracing import COMPILERS, compiled
from support.tensors import (
    as_array,
    as_float,
    assert_near,
    dtype_of,
    random_array,
)

KERNEL = random_array(2, 5, 6)
each_form = pytest.mark.parametrize(
    "form",
    [
        {},
        {"power": 0, "half_space": True},
        {"power": 1, "distance": "angular", "groups": 3},
        {"power": 0.5, "neuron_axis": (0, 2), "groups": 2, "half_space": True},
        {"power": 2, "block_size": 3},
    ],
    ids=str,
)


@each_form
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_is_that_of_differentiation(form, dtype):
    expected = evaluate(KERNEL, dtype=dtype, **form)
    energy, gradient = energy_and_gradient(ops.cast(KERNEL, dtype), **form)
    assert as_float(energy) == pytest.approx(expected.value, rel=1e-6)
    assert dtype_of(gradient) == dtype
    tolerance = {"float32": 1e-6, "float16": 1e-3, "bfloat16": 1e-2}[dtype]
    assert_near(
        as_array(ops.cast(gradient, "float32")), expected.gradient, tolerance
    )


@pytest.mark.parametrize(
    "kernel",
    [np.zeros((4, 5)), np.ones((4, 5)), 1e-30 * KERNEL[0], np.eye(4, 1)],
    ids=["zero", "equal", "tiny", "one"],
)
def test_degenerate_kernels_are_finite(kernel):
    energy, gradient = energy_and_gradient(kernel.astype("float32"))
    assert np.isfinite(as_float(energy))
    assert np.isfinite(as_array(gradient)).all()


@pytest.mark.parametrize("compiler", COMPILERS)
def test_compiled(compiler):
    kernel = ops.convert_to_tensor(KERNEL)

    def gradient(tensor):
        return energy_and_gradient(tensor, half_space=True)[1]

    function, _ = compiled(gradient, compiler)
    assert_near(as_array(function(kernel)), as_array(gradient(kernel)), 1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"power": -1}, "`power` must be a finite real number >= 0"),
        ({"groups": 5}, "`groups` must divide the number of neurons"),
        ({"neuron_axis": 3}, "`neuron_axis` must be in"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        energy_and_gradient(KERNEL, **arguments)

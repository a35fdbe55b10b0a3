"""`energy_and_gradient` is `hyperspherical_energy`, differentiated."""

import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import energy_and_gradient, hyperspherical_energy
from support.gradients import value_and_grad
from support.retracing import COMPILERS, compiled
from support.tensors import as_float

FORMS = [
    {},
    {"power": 0, "half_space": True},
    {"power": 1, "distance": "angular", "groups": 3},
    {"power": 0.5, "neuron_axis": (0, 2), "groups": 2, "half_space": True},
    {"power": 2, "block_size": 3},
]


def kernel_of(dtype="float32"):
    return np.random.default_rng(0).normal(size=(2, 5, 6)).astype(dtype)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_is_that_of_differentiation(form, dtype):
    expected = value_and_grad(
        lambda w: hyperspherical_energy(w, **form), kernel_of(), dtype=dtype
    )
    kernel = ops.cast(kernel_of(), dtype)
    energy, gradient = energy_and_gradient(kernel, **form)
    assert as_float(energy) == pytest.approx(expected.value, rel=1e-6)
    assert dtype in str(gradient.dtype)
    tolerance = {"float32": 1e-6, "float16": 1e-3, "bfloat16": 1e-2}[dtype]
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(gradient, "float32")),
        expected.gradient,
        atol=tolerance * np.abs(expected.gradient).max(),
    )


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_gradient_is_the_slope(form):
    kernel = kernel_of("float64")
    _, gradient = energy_and_gradient(kernel, **form)
    direction = np.random.default_rng(1).normal(size=kernel.shape)
    shift = 1e-3
    ends = [
        as_float(energy_and_gradient(kernel + s * shift * direction, **form)[0])
        for s in (1.0, -1.0)
    ]
    slope = np.sum(ops.convert_to_numpy(gradient) * direction)
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * shift), rel=5e-3)


@pytest.mark.parametrize(
    "kernel",
    [np.zeros((4, 5)), np.ones((4, 5)), 1e-30 * kernel_of()[0], np.eye(4, 1)],
    ids=["zero", "equal", "tiny", "one"],
)
def test_degenerate_kernels_are_finite(kernel):
    energy, gradient = energy_and_gradient(kernel.astype("float32"))
    assert np.isfinite(as_float(energy))
    assert np.isfinite(ops.convert_to_numpy(gradient)).all()


@pytest.mark.parametrize("compiler", COMPILERS)
def test_compiled(compiler):
    kernel = ops.convert_to_tensor(kernel_of())

    def gradient(tensor):
        return energy_and_gradient(tensor, half_space=True)[1]

    function, _ = compiled(gradient, compiler)
    np.testing.assert_allclose(
        ops.convert_to_numpy(function(kernel)),
        ops.convert_to_numpy(gradient(kernel)),
        rtol=1e-4, atol=1e-6,
    )  # fmt: skip


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
        energy_and_gradient(kernel_of(), **arguments)

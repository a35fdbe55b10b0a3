"""Singular values, power iteration and projections against NumPy's SVD."""

from pathlib import Path

import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import (
    limited_spectral_norm,
    power_iteration,
    rayleigh_quotient,
    singular_values,
)
from keras_mhe.functional._spectral import divided_by_norm
from support.gradients import MODES, value_and_grad
from support.tensors import as_float

RNG = np.random.default_rng(0)
PUBLISHED = dict(
    np.load(
        Path(__file__).parents[1] / "reference" / "gan.npz", allow_pickle=False
    )
)
SHAPES = sorted(k.split(":")[1] for k in PUBLISHED if k.startswith("W:"))

#: Shapes with the axes that count neurons, and the matrix as a transposition.
LAYOUTS = {
    "dense": ((5, 7), -1, (0, 1)),
    "embedding": ((9, 4), 0, (1, 0)),
    "convolution": ((3, 2, 4, 6), -1, (0, 1, 2, 3)),
    "transposed convolution": ((3, 2, 5, 4), -2, (0, 1, 3, 2)),
    "depthwise convolution": ((3, 3, 2, 4), (-2, -1), (0, 1, 2, 3)),
    "one neuron": ((6, 1), -1, (0, 1)),
    "attention": ((4, 2, 3), (1, 2), (0, 1, 2)),
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def kernel_and_matrix(layout, scale=1.0):
    shape, axis, order = LAYOUTS[layout]
    kernel = (scale * RNG.normal(size=shape)).astype("float32")
    count = np.prod([shape[a] for a in np.atleast_1d(axis)])
    matrix = np.transpose(kernel.astype("float64"), order).reshape(-1, count)
    return kernel, matrix, axis


def as_array(tensor):
    return ops.convert_to_numpy(tensor)


def numpy_iteration(matrix, u, iterations):
    for _ in range(iterations):
        v = matrix @ u
        v /= np.linalg.norm(v)
        u = matrix.T @ v
        u /= np.linalg.norm(u)
    return u, v


# Singular values.


@each_layout
def test_singular_values(layout):
    kernel, matrix, axis = kernel_and_matrix(layout)
    np.testing.assert_allclose(
        as_array(singular_values(kernel, neuron_axis=axis)),
        np.linalg.svd(matrix, compute_uv=False),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_singular_values_are_float32(dtype):
    kernel = ops.cast(ops.convert_to_tensor(np.eye(3) * 2.0), dtype)
    values = singular_values(kernel)
    assert "float32" in str(values.dtype)
    np.testing.assert_array_equal(as_array(values), [2.0, 2.0, 2.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_singular_values_of_what_is_not_finite(bad):
    kernel = np.ones((3, 2), "float32")
    kernel[1, 1] = bad
    assert np.isnan(as_array(singular_values(kernel))).all()


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
def test_singular_values_of_extreme_kernels(scale):
    kernel = (scale * np.diag([3.0, 2.0, 1.0])).astype("float32")
    np.testing.assert_allclose(
        as_array(singular_values(kernel)),
        scale * np.array([3.0, 2.0, 1.0]),
        rtol=1e-5,
    )


# Power iteration.


@pytest.mark.parametrize("iterations", [1, 3])
@each_layout
def test_power_iteration(layout, iterations):
    kernel, matrix, axis = kernel_and_matrix(layout)
    start = RNG.normal(size=matrix.shape[1])
    u, v = power_iteration(
        kernel, start, iterations=iterations, neuron_axis=axis
    )
    expected_u, expected_v = numpy_iteration(matrix, start, iterations)
    np.testing.assert_allclose(as_array(u), expected_u, atol=2e-6)
    np.testing.assert_allclose(as_array(v), expected_v, atol=2e-6)
    sigma = rayleigh_quotient(kernel, u, v, neuron_axis=axis)
    expected = expected_v @ matrix @ expected_u
    np.testing.assert_allclose(as_float(sigma), expected, rtol=1e-5)


@each_layout
def test_many_iterations_reach_the_spectral_norm(layout):
    kernel, matrix, axis = kernel_and_matrix(layout)
    u, v = power_iteration(
        kernel,
        np.ones(matrix.shape[1], "float32"),
        iterations=500,
        neuron_axis=axis,
    )
    norm = np.linalg.norm(matrix, 2)
    sigma = rayleigh_quotient(kernel, u, v, neuron_axis=axis)
    np.testing.assert_allclose(as_float(sigma), norm, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30])
def test_power_iteration_does_not_depend_on_the_scale(scale):
    kernel, matrix, _ = kernel_and_matrix("dense")
    start = np.ones(7, "float32")
    u, v = power_iteration(kernel * np.float32(scale), start, iterations=2)
    expected_u, expected_v = numpy_iteration(matrix, np.ones(7), 2)
    np.testing.assert_allclose(as_array(u), expected_u, atol=1e-5)
    np.testing.assert_allclose(as_array(v), expected_v, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_u_survives_a_kernel_without_directions(value):
    kernel = np.full((3, 2), value, "float32")
    u, v = power_iteration(kernel, np.array([3.0, 4.0]))
    np.testing.assert_allclose(as_array(u), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(as_array(v), np.zeros(3))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_published_normalization(shape, mode):
    start = PUBLISHED[f"sn:{shape}:u0"].ravel()
    probe = PUBLISHED[f"sn:{shape}:probe"]

    def normalized(weights):
        # The program differentiates through the power iteration.
        u, v = power_iteration(weights, start, stop_gradient=False)
        return divided_by_norm(weights, rayleigh_quotient(weights, u, v))

    weights = PUBLISHED[f"W:{shape}"]
    evaluation = value_and_grad(
        lambda w: ops.sum(normalized(w) * ops.convert_to_tensor(probe)),
        weights,
        mode=mode,
    )
    expected = PUBLISHED[f"sn:{shape}:grad"]
    np.testing.assert_allclose(
        evaluation.gradient, expected, atol=1e-4 * np.abs(expected).max()
    )
    np.testing.assert_allclose(
        as_array(normalized(ops.convert_to_tensor(weights))),
        PUBLISHED[f"sn:{shape}:w_bar"],
        rtol=1e-4,
        atol=1e-7,
    )
    u, v = power_iteration(weights, start)
    np.testing.assert_allclose(
        as_float(rayleigh_quotient(weights, u, v)),
        PUBLISHED[f"sn:{shape}:sigma"],
        rtol=1e-5,
    )


def test_gradient_is_that_of_the_spectral_norm():
    kernel, matrix, _ = kernel_and_matrix("dense")
    u, v = power_iteration(kernel, np.ones(7), iterations=500)
    gradient = value_and_grad(
        lambda w: rayleigh_quotient(w, u, v), kernel
    ).gradient
    left, _, right = np.linalg.svd(matrix)
    np.testing.assert_allclose(
        gradient, np.outer(left[:, 0], right[0]), atol=1e-3
    )


# Division.


@pytest.mark.parametrize("norm", [0.0, -2.0, 1e-39])
def test_a_norm_of_zero_or_less_divides_nothing(norm):
    kernel = np.array([[1.0, -2.0]], "float32")
    evaluation = value_and_grad(
        lambda w: ops.sum(divided_by_norm(w, ops.convert_to_tensor(norm))),
        kernel,
    )
    assert evaluation.value == -1.0
    np.testing.assert_array_equal(evaluation.gradient, [[1.0, 1.0]])


def test_a_norm_of_nan_is_seen():
    norm = ops.convert_to_tensor(float("nan"))
    assert np.isnan(as_array(divided_by_norm(np.ones((1, 1)), norm))).all()


# Projections.


@pytest.mark.parametrize("mode", ["scale", "clip"])
@each_layout
def test_limited_spectral_norm(layout, mode):
    kernel, matrix, axis = kernel_and_matrix(layout)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    bound = float(values[0] + values[-1]) / 2.0
    if len(values) == 1:
        bound = float(values[0]) / 2.0
    limited = limited_spectral_norm(kernel, bound, mode=mode, neuron_axis=axis)
    limited_values = as_array(singular_values(limited, neuron_axis=axis))
    assert limited_values[0] <= bound * (1.0 + 5e-6)
    expected = {
        "scale": values * bound / values[0],
        "clip": np.minimum(values, bound),
    }[mode]
    np.testing.assert_allclose(limited_values, expected, rtol=2e-5, atol=1e-6)
    shape, _, order = LAYOUTS[layout]
    as_matrix = np.transpose(as_array(limited), order).reshape(matrix.shape)
    np.testing.assert_allclose(as_matrix, (left * expected) @ right, atol=1e-5)
    assert as_array(limited).shape == shape


@pytest.mark.parametrize("mode", ["scale", "clip"])
@pytest.mark.parametrize("value", [0.0, 0.3, np.nan, np.inf])
def test_kernels_within_the_bound_and_bad_ones_are_left_alone(mode, value):
    kernel = np.diag([0.5, value]).astype("float32")
    limited = limited_spectral_norm(kernel, 1.0, mode=mode)
    np.testing.assert_array_equal(as_array(limited), kernel)


@pytest.mark.parametrize("mode", ["scale", "clip"])
@pytest.mark.parametrize("scale", [1e-30, 1e4, 1e37])
def test_projections_of_extreme_kernels(scale, mode):
    kernel = (RNG.normal(size=(20, 8)) * scale).astype("float32")
    bound = min(0.5, scale)
    limited = limited_spectral_norm(kernel, bound, mode=mode)
    norm = np.linalg.norm(as_array(limited).astype("float64"), 2)
    np.testing.assert_allclose(norm, bound, rtol=5e-6)


@pytest.mark.parametrize("mode", ["scale", "clip"])
def test_projections_keep_the_dtype(mode):
    kernel = ops.cast(ops.convert_to_tensor(np.eye(3) * 4.0), "float16")
    limited = limited_spectral_norm(kernel, 2.0, mode=mode)
    assert "float16" in str(limited.dtype)
    np.testing.assert_allclose(as_array(limited), np.eye(3) * 2.0)


# Errors.


def test_errors():
    kernel = np.ones((3, 2), "float32")
    with pytest.raises(ValueError, match=r"`u` must have the shape \(2,\)"):
        power_iteration(kernel, np.ones(3))
    with pytest.raises(ValueError, match=r"`v` must have the shape \(3,\)"):
        rayleigh_quotient(kernel, np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match="`iterations` must be an integer"):
        power_iteration(kernel, np.ones(2), iterations=0)
    with pytest.raises(ValueError, match="`weights` must have rank 2"):
        singular_values(np.ones(3))
    with pytest.raises(ValueError, match="`neuron_axis` must be in"):
        singular_values(kernel, neuron_axis=2)
    with pytest.raises(ValueError, match="`max_value` must be a finite real"):
        limited_spectral_norm(kernel, 0.0)
    with pytest.raises(ValueError, match="`mode` must be one of"):
        limited_spectral_norm(kernel, 1.0, mode="cut")

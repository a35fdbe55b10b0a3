"""Singular values, power iteration and projections against NumPy's SVD."""

import numpy as np
import pytest
from keras import ops

from keras_mhe.ops import (
    limit_spectral_norm,
    power_iteration,
    rayleigh_quotient,
    singular_values,
)
from keras_mhe.ops._spectral.power_iteration import divided_by_norm
from support.gradients import MODES, value_and_grad
from support.numpy_reference import neuron_matrix, power_iterated
from support.published import published
from support.tensors import (
    as_array,
    as_float,
    assert_near,
    dtype_of,
    random_array,
)

PUBLISHED = published("gan.npz")
SHAPES = sorted(k.split(":")[1] for k in PUBLISHED if k.startswith("W:"))
each_mode = pytest.mark.parametrize("mode", ["scale", "clip"])

#: Kernels, and their axes that count neurons.
KERNELS = {
    "dense": (random_array(5, 7), -1),
    "embedding": (random_array(9, 4), 0),
    "convolution": (random_array(3, 2, 4, 6), -1),
    "transposed convolution": (random_array(3, 2, 5, 4), -2),
    "depthwise convolution": (random_array(3, 3, 2, 4), (-2, -1)),
    "one neuron": (random_array(6, 1), -1),
    "attention": (random_array(4, 2, 3), (1, 2)),
}
each_kernel = pytest.mark.parametrize(
    ("kernel", "axis"), KERNELS.values(), ids=KERNELS
)
DENSE = KERNELS["dense"][0]


@each_kernel
def test_singular_values(kernel, axis):
    np.testing.assert_allclose(
        as_array(singular_values(kernel, neuron_axis=axis)),
        np.linalg.svd(neuron_matrix(kernel, axis), compute_uv=False),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_singular_values_are_float32(dtype):
    values = singular_values(ops.cast(2.0 * np.eye(3), dtype))
    assert dtype_of(values) == "float32"
    np.testing.assert_array_equal(as_array(values), [2.0, 2.0, 2.0])


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30, np.nan, np.inf])
def test_singular_values_of_extreme_kernels(scale):
    kernel = np.diag([3.0, 2.0, 1.0]).astype("float32")
    kernel[kernel > 0] *= scale
    expected = np.array([3.0, 2.0, 1.0]) * scale
    if not np.isfinite(scale):
        expected = np.full(3, np.nan)
    np.testing.assert_allclose(
        as_array(singular_values(kernel)), expected, rtol=1e-5
    )


# Power iteration.


@pytest.mark.parametrize("iterations", [1, 3])
@each_kernel
def test_power_iteration(kernel, axis, iterations):
    matrix = neuron_matrix(kernel, axis)
    start = random_array(matrix.shape[1], seed=1)
    u, v = power_iteration(
        kernel, start, iterations=iterations, neuron_axis=axis
    )
    expected_u, expected_v = power_iterated(matrix, start, iterations)
    np.testing.assert_allclose(as_array(u), expected_u, atol=2e-6)
    np.testing.assert_allclose(as_array(v), expected_v, atol=2e-6)
    sigma = rayleigh_quotient(kernel, u, v, neuron_axis=axis)
    expected = expected_v @ matrix @ expected_u
    np.testing.assert_allclose(as_float(sigma), expected, rtol=1e-5)


def test_many_iterations_reach_the_spectral_norm_and_its_gradient():
    u, v = power_iteration(DENSE, np.ones(7, "float32"), iterations=500)
    evaluation = value_and_grad(lambda w: rayleigh_quotient(w, u, v), DENSE)
    left, values, right = np.linalg.svd(DENSE.astype("float64"))
    np.testing.assert_allclose(evaluation.value, values[0], rtol=1e-4)
    np.testing.assert_allclose(
        evaluation.gradient, np.outer(left[:, 0], right[0]), atol=1e-3
    )


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30])
def test_power_iteration_does_not_depend_on_the_scale(scale):
    start = np.ones(7, "float32")
    vectors = power_iteration(DENSE * np.float32(scale), start, iterations=2)
    for actual, expected in zip(
        vectors, power_iterated(DENSE, start, 2), strict=True
    ):
        np.testing.assert_allclose(as_array(actual), expected, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_u_survives_a_kernel_without_directions(value):
    kernel = np.full((3, 2), value, "float32")
    u, v = power_iteration(kernel, np.array([3.0, 4.0]))
    np.testing.assert_allclose(as_array(u), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(as_array(v), np.zeros(3))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_published_normalization(shape, mode):
    weights = PUBLISHED[f"W:{shape}"]
    start, probe, normalized, slopes, sigma = (
        PUBLISHED[f"sn:{shape}:{name}"]
        for name in ("u0", "probe", "w_bar", "grad", "sigma")
    )

    def normalize(weights):
        # The program differentiates through the power iteration.
        u, v = power_iteration(weights, start.ravel(), stop_gradient=False)
        return divided_by_norm(weights, rayleigh_quotient(weights, u, v))

    evaluation = value_and_grad(
        lambda w: ops.sum(normalize(w) * ops.convert_to_tensor(probe)),
        weights,
        mode=mode,
    )
    assert_near(evaluation.gradient, slopes, 1e-4)
    np.testing.assert_allclose(
        as_array(normalize(ops.convert_to_tensor(weights))),
        normalized,
        rtol=1e-4,
        atol=1e-7,
    )
    u, v = power_iteration(weights, start.ravel())
    actual = as_float(rayleigh_quotient(weights, u, v))
    np.testing.assert_allclose(actual, sigma, rtol=1e-5)


# Division.


@pytest.mark.parametrize("norm", [0.0, -2.0, 1e-39])
def test_a_norm_of_zero_or_less_divides_nothing(norm):
    evaluation = value_and_grad(
        lambda w: ops.sum(divided_by_norm(w, ops.convert_to_tensor(norm))),
        np.array([[1.0, -2.0]]),
    )
    assert evaluation.value == -1.0
    np.testing.assert_array_equal(evaluation.gradient, [[1.0, 1.0]])


def test_a_norm_of_nan_is_seen():
    norm = ops.convert_to_tensor(float("nan"))
    assert np.isnan(as_array(divided_by_norm(np.ones((1, 1)), norm))).all()


# Projections.


@each_mode
@each_kernel
def test_limited_spectral_norm(kernel, axis, mode):
    matrix = neuron_matrix(kernel, axis)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    bound = float(
        np.mean(values[[0, -1]]) if len(values) > 1 else values[0] / 2
    )
    limited = limit_spectral_norm(kernel, bound, mode=mode, neuron_axis=axis)
    limited = as_array(limited)
    assert limited.shape == kernel.shape
    limited = neuron_matrix(limited, axis)
    assert np.linalg.norm(limited, 2) <= bound * (1.0 + 5e-6)
    expected = {
        "scale": values * bound / values[0],
        "clip": np.minimum(values, bound),
    }[mode]
    np.testing.assert_allclose(limited, (left * expected) @ right, atol=1e-5)


@each_mode
@pytest.mark.parametrize("value", [0.0, 0.3, np.nan, np.inf])
def test_kernels_within_the_bound_and_bad_ones_are_left_alone(mode, value):
    kernel = np.diag([0.5, value]).astype("float32")
    limited = limit_spectral_norm(kernel, 1.0, mode=mode)
    np.testing.assert_array_equal(as_array(limited), kernel)


@each_mode
@pytest.mark.parametrize("scale", [1e-30, 1e4, 1e37])
def test_projections_of_extreme_kernels(scale, mode):
    kernel = (random_array(20, 8) * scale).astype("float32")
    bound = min(0.5, scale)
    limited = limit_spectral_norm(kernel, bound, mode=mode)
    norm = np.linalg.norm(as_array(limited).astype("float64"), 2)
    np.testing.assert_allclose(norm, bound, rtol=5e-6)


@each_mode
def test_projections_keep_the_dtype(mode):
    kernel = ops.cast(np.eye(3) * 4.0, "float16")
    limited = limit_spectral_norm(kernel, 2.0, mode=mode)
    assert dtype_of(limited) == "float16"
    np.testing.assert_allclose(as_array(limited), np.eye(3) * 2.0)


@pytest.mark.parametrize(
    ("function", "arguments", "options", "message"),
    [
        (power_iteration, [np.ones(3)], {}, r"`u` must have the shape \(2,\)"),
        (
            rayleigh_quotient,
            [np.ones(2), np.ones(2)],
            {},
            r"`v` must have the shape \(3,\)",
        ),
        (
            power_iteration,
            [np.ones(2)],
            {"iterations": 0},
            "`iterations` must be an integer",
        ),
        (singular_values, [], {"neuron_axis": 2}, "`neuron_axis` must be in"),
        (limit_spectral_norm, [0.0], {}, "`max_value` must be a finite real"),
        (
            limit_spectral_norm,
            [1.0],
            {"mode": "cut"},
            "`mode` must be one of",
        ),
    ],
)
def test_errors(function, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        function(np.ones((3, 2), "float32"), *arguments, **options)

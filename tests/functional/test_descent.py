"""`lowered_energy`: downhill, on the spheres, as far as asked."""

import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import hyperspherical_energy, lowered_energy
from support import numpy_reference
from support.retracing import COMPILERS, compiled
from support.tensors import as_float

RNG = np.random.default_rng(0)

FORMS = [
    {"power": 0},
    {"power": 1},
    {"power": 2, "half_space": True},
    {"power": 4.5},
    {"power": 0, "distance": "angular"},
    {"power": 2, "distance": "angular", "half_space": True},
    {"power": 2, "groups": 3},
    {"power": 1, "neuron_axis": 0},
    {"power": 2, "block_size": 5},
]
each_form = pytest.mark.parametrize("form", FORMS, ids=str)


def as_array(tensor):
    return ops.convert_to_numpy(tensor)


def kernel_of(form, shape=(3, 4, 12), dtype="float32"):
    del form
    return RNG.normal(size=shape).astype(dtype)


def energy(kernel, form):
    return as_float(hyperspherical_energy(kernel, **form))


def lengths(kernel, form):
    rows = numpy_reference.neuron_vectors(kernel, form.get("neuron_axis", -1))
    return np.array([np.linalg.norm(row) for row in rows])


@each_form
def test_energy_falls_and_lengths_stay(form):
    kernel = kernel_of(form)
    before = energy(kernel, form)
    for steps in (1, 40):
        lower = lowered_energy(kernel, steps=steps, **form)
        after = energy(lower, form)
        assert after < before
        before = after
        np.testing.assert_allclose(
            lengths(as_array(lower), form), lengths(kernel, form), rtol=1e-5
        )


@each_form
def test_a_small_step_follows_the_gradient(form):
    kernel = kernel_of(form, shape=(2, 3, 6), dtype="float64")
    options = {k: v for k, v in form.items() if k != "block_size"}
    rate, shift = 1e-2, 1e-5
    moved = as_array(lowered_energy(kernel, rate=rate, **form))
    axis = form.get("neuron_axis", -1) % kernel.ndim
    others = tuple(k for k in range(kernel.ndim) if k != axis)
    norms = np.linalg.norm(kernel, axis=others, keepdims=True)
    # Half the number of neurons times the gradient of the mean over pairs is
    # that of a neuron's own mean, here by finite differences.
    count = kernel.shape[axis]
    slopes = np.zeros_like(kernel)
    for index in np.ndindex(kernel.shape):
        ends = []
        for sign in (1.0, -1.0):
            other = kernel / norms
            other[index] += sign * shift
            ends.append(numpy_reference.energy(other, **options))
        slopes[index] = 0.5 * count * (ends[0] - ends[1]) / (2.0 * shift)
    expected = kernel / norms - rate * slopes
    expected *= norms / np.linalg.norm(expected, axis=others, keepdims=True)
    np.testing.assert_allclose(
        (moved - kernel) / rate, (expected - kernel) / rate, atol=3e-4
    )


# JAX has no float64 unless it is asked for.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(dtype):
    kernel = ops.cast(kernel_of({}), dtype)
    lower = lowered_energy(kernel, steps=20)
    assert lower.dtype == kernel.dtype
    assert energy(lower, {}) < energy(kernel, {})
    # Never higher, though few steps fit between two half-precision numbers.
    for _ in range(5):
        again = lowered_energy(lower, steps=3, rate=1e-3)
        assert energy(again, {}) <= energy(lower, {}) * (1.0 + 2e-7)
        lower = again


def test_large_rates_do_no_harm():
    kernel = kernel_of({})
    lower = lowered_energy(kernel, steps=3, rate=1e6)
    assert energy(lower, {}) < energy(kernel, {})


def test_the_minimum_is_left_alone():
    kernel = 2.0 * np.eye(3, dtype="float32")
    form = {"half_space": True}
    np.testing.assert_array_equal(
        as_array(lowered_energy(kernel, steps=100, **form)), kernel
    )


def test_a_limit_stops_the_descent():
    kernel = kernel_of({})
    start = energy(kernel, {})
    lowest = energy(lowered_energy(kernel, steps=200), {})
    limit = 0.5 * (start + lowest)
    reached = lowered_energy(kernel, steps=200, rate=0.1, limit=limit)
    assert lowest < energy(reached, {}) <= limit
    for above in (start, start + 1.0, np.inf):
        np.testing.assert_array_equal(
            as_array(lowered_energy(kernel, limit=above + 1e-6)), kernel
        )


def test_neurons_without_a_direction_stay():
    kernel = kernel_of({}, shape=(4, 8))
    kernel[:, 0] = 0.0
    kernel[2, 1] = np.nan
    kernel[3, 2] = np.inf
    kernel[:, 3] = kernel[:, 4]
    kernel[:, 5] = -kernel[:, 6]
    lower = as_array(lowered_energy(kernel, steps=3))
    np.testing.assert_array_equal(lower[:, :3], kernel[:, :3])
    assert np.isfinite(lower[:, 3:]).all()
    # Equal neurons stay equal; the others move.
    np.testing.assert_allclose(lower[:, 3], lower[:, 4], rtol=1e-6)
    assert not np.allclose(lower[:, 7], kernel[:, 7])


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_huge_and_tiny_neurons(size):
    kernel = kernel_of({}) * np.float32(size)
    lower = as_array(lowered_energy(kernel, steps=3))
    assert np.isfinite(lower).all()
    assert energy(lower, {}) < energy(kernel, {})
    np.testing.assert_allclose(
        lengths(lower / np.float32(size), {}),
        lengths(kernel / np.float32(size), {}),
        rtol=1e-5,
    )


def test_neurons_too_large_for_the_dtype_stay():
    # Their entries are in float32's range, their norms are not.
    kernel = kernel_of({}, shape=(8, 5))
    kernel[:, 0] = 2e38
    lower = as_array(lowered_energy(kernel, steps=3))
    assert np.isfinite(lower).all()
    np.testing.assert_array_equal(lower[:, 0], kernel[:, 0])
    assert not np.allclose(lower[:, 1:], kernel[:, 1:])


def test_lengths_do_not_drift():
    kernel = kernel_of({}, shape=(3, 12))
    lower = as_array(lowered_energy(kernel, steps=300, rate=0.1))
    np.testing.assert_allclose(
        lengths(lower, {}), lengths(kernel, {}), rtol=4e-7
    )


def test_integers_are_float32():
    kernel = np.array([[2, 1, 3], [0, 1, -1]])
    lower = lowered_energy(kernel, steps=20)
    assert "float32" in str(lower.dtype)
    assert energy(lower, {}) < energy(kernel, {})


@pytest.mark.parametrize("shape", [(4, 1), (1, 4)])
def test_one_neuron_and_one_dimension(shape):
    kernel = kernel_of({}, shape=shape)
    lower = as_array(lowered_energy(kernel, steps=3))
    np.testing.assert_allclose(abs(lower), abs(kernel), rtol=1e-6)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    "form", [{}, {"half_space": True, "groups": 2, "block_size": 3}], ids=str
)
def test_compiled(form, compiler):
    kernel = ops.convert_to_tensor(kernel_of(form))

    def descend(tensor):
        return lowered_energy(tensor, steps=4, **form)

    function, _ = compiled(descend, compiler)
    np.testing.assert_allclose(
        as_array(function(kernel)), as_array(descend(kernel)), atol=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "`steps` must be an integer >= 1"),
        ({"rate": 0.0}, "`rate` must be a finite real number > 0"),
        ({"limit": np.nan}, "`limit` must be a real number"),
        ({"power": -1}, "`power` must be a finite real number >= 0"),
        ({"groups": 5}, "`groups` must divide the number of neurons"),
        ({"neuron_axis": 3}, "`neuron_axis` must be in"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        lowered_energy(kernel_of({}), **arguments)

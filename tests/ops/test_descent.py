"""`lower_energy`: downhill, on the spheres, as far as asked.

Each shape and each set of options is compiled anew, so they are few.
"""

import numpy as np
import pytest
from keras import ops

from keras_mhe.ops import lower_energy
from support import numpy_reference
from support.energies import evaluate
from support.retracing import COMPILERS, compiled
from support.tensors import as_array, dtype_of, random_array

each_form = pytest.mark.parametrize(
    "form",
    [
        {"power": 0},
        {"power": 2, "half_space": True},
        {"power": 4.5},
        {"power": 2, "distance": "angular", "half_space": True},
        {"power": 2, "groups": 3},
        {"power": 1, "neuron_axis": 0},
        {"power": 2, "block_size": 5},
    ],
    ids=str,
)
KERNEL = random_array(6, 12)


def lowered(kernel, **options):
    return as_array(lower_energy(kernel, **options))


def energy(kernel, **form):
    return evaluate(ops.cast(kernel, "float32"), **form).value


def lengths(kernel):
    return np.linalg.norm(kernel.astype("float64"), axis=0)


@each_form
def test_energy_falls_and_lengths_stay(form):
    before = energy(KERNEL, **form)
    axis = 1 if "neuron_axis" in form else 0
    for steps in (1, 40):
        lower = lowered(KERNEL, steps=steps, **form)
        after = energy(lower, **form)
        assert after < before
        before = after
        np.testing.assert_allclose(
            np.linalg.norm(lower, axis=axis),
            np.linalg.norm(KERNEL, axis=axis),
            rtol=1e-5,
        )


@each_form
def test_a_small_step_follows_the_gradient(form):
    kernel = random_array(2, 3, 6, dtype="float64")
    options = {k: v for k, v in form.items() if k != "block_size"}
    rate = 1e-2
    moved = lowered(kernel, rate=rate, **form)
    axis = form.get("neuron_axis", -1) % kernel.ndim
    others = tuple(k for k in range(kernel.ndim) if k != axis)
    norms = np.linalg.norm(kernel, axis=others, keepdims=True)
    # Half the number of neurons times the gradient of the mean over pairs is
    # that of a neuron's own mean.
    slopes = numpy_reference.gradient(kernel / norms, **options)
    expected = kernel / norms - rate * 0.5 * kernel.shape[axis] * slopes
    expected *= norms / np.linalg.norm(expected, axis=others, keepdims=True)
    np.testing.assert_allclose(
        (moved - kernel) / rate, (expected - kernel) / rate, atol=3e-4
    )


# JAX has no float64 unless it is asked for.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(dtype):
    kernel = ops.cast(KERNEL, dtype)
    lower = lower_energy(kernel, steps=20)
    assert lower.dtype == kernel.dtype
    assert energy(lower) < energy(kernel)
    # Never higher, though few steps fit between two half-precision numbers.
    for _ in range(5):
        again = lower_energy(lower, steps=3, rate=1e-3)
        assert energy(again) <= energy(lower) * (1.0 + 2e-7)
        lower = again


def test_integers_are_float32():
    kernel = np.array([[2, 1, 3], [0, 1, -1]])
    lower = lower_energy(kernel, steps=20)
    assert dtype_of(lower) == "float32"
    assert energy(lower) < energy(kernel)


def test_large_rates_do_no_harm():
    assert energy(lowered(KERNEL, steps=3, rate=1e6)) < energy(KERNEL)


def test_the_minimum_is_left_alone():
    kernel = 2.0 * np.eye(3, dtype="float32")
    lower = lowered(kernel, steps=100, half_space=True)
    np.testing.assert_array_equal(lower, kernel)


def test_a_limit_stops_the_descent():
    start = energy(KERNEL)
    lowest = energy(lowered(KERNEL, steps=200))
    limit = 0.5 * (start + lowest)
    reached = energy(lowered(KERNEL, steps=200, rate=0.1, limit=limit))
    assert lowest < reached <= limit
    for above in (start + 1e-6, np.inf):
        np.testing.assert_array_equal(lowered(KERNEL, limit=above), KERNEL)


def test_neurons_without_a_direction_or_a_length_stay():
    kernel = KERNEL.copy()
    kernel[:, 0] = 0.0
    kernel[2, 1] = np.nan
    kernel[3, 2] = np.inf
    # Its entries are in float32's range, its norm is not.
    kernel[:, 3] = 2e38
    kernel[:, 4] = kernel[:, 5]
    kernel[:, 6] = -kernel[:, 7]
    lower = lowered(kernel, steps=3)
    np.testing.assert_array_equal(lower[:, :4], kernel[:, :4])
    assert np.isfinite(lower[:, 4:]).all()
    # Equal neurons stay equal; the others move.
    np.testing.assert_allclose(lower[:, 4], lower[:, 5], rtol=1e-6)
    assert not np.isclose(lower[:, 8:], kernel[:, 8:]).all(axis=0).any()


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_huge_and_tiny_neurons(size):
    size = np.float32(size)
    lower = lowered(KERNEL * size, steps=3)
    assert energy(lower) < energy(KERNEL)
    np.testing.assert_allclose(
        lengths(lower / size), lengths(KERNEL), rtol=1e-5
    )


def test_lengths_do_not_drift():
    lower = lowered(KERNEL, steps=300, rate=0.1)
    np.testing.assert_allclose(lengths(lower), lengths(KERNEL), rtol=4e-7)


@pytest.mark.parametrize("shape", [(4, 1), (1, 4)])
def test_one_neuron_and_one_dimension(shape):
    kernel = random_array(*shape)
    lower = lowered(kernel, steps=3)
    np.testing.assert_allclose(abs(lower), abs(kernel), rtol=1e-6)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    "form", [{}, {"half_space": True, "groups": 2, "block_size": 3}], ids=str
)
def test_compiled(form, compiler):
    kernel = ops.convert_to_tensor(KERNEL)

    def descend(tensor):
        return lower_energy(tensor, steps=4, **form)

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
        ({"groups": 5}, "`groups` must divide the number of neurons"),
        ({"neuron_axis": 3}, "`neuron_axis` must be in"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        lower_energy(KERNEL, **arguments)

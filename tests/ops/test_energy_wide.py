"""Wide kernels: equal neurons, nearly equal ones, and random ones."""

import numpy as np
import pytest
from keras import ops

from keras_mhe.ops._energy.energy_and_gradient import energy_and_slopes
from keras_mhe.ops._pairs.form import EnergyForm
from support.energies import evaluate
from support.gradients import MODES, with_float64
from support.near_pairs import energy_and_gradient, kernel_with_pair
from support.numpy_reference import excess
from support.tensors import as_float, assert_near, random_array

all_modes = pytest.mark.parametrize("mode", MODES)

#: Energy of equal neurons in float32, power 2.
EQUAL = 524288.0


@all_modes
@pytest.mark.parametrize("content", ["ones", "signs", "random"])
@pytest.mark.parametrize(
    ("dim", "num_neurons"), [(9, 6), (576, 4), (2304, 33), (100_352, 7)]
)
def test_equal_neurons_are_equal(dim, num_neurons, content, mode):
    column = {
        "ones": np.ones((dim, 1)),
        "signs": np.sign(random_array(dim, 1)),
        "random": random_array(dim, 1),
    }[content]
    weights = np.repeat(column, num_neurons, axis=1)
    full = evaluate(weights, mode=mode)
    np.testing.assert_allclose(full.value, EQUAL, rtol=1e-6)
    assert not full.gradient.any()
    # Lines: of 2N(2N-1)/2 pairs N(N-1) are equal, N**2 opposite.
    lines = evaluate(weights, mode=mode, half_space=True)
    share = (num_neurons - 1) / (2 * num_neurons - 1)
    np.testing.assert_allclose(lines.value, EQUAL * share, rtol=1e-5)
    assert not lines.gradient.any()


@pytest.mark.parametrize(
    "pairs",
    [
        {"block_size": 16},
        {"groups": 2},
        {"anchors": [0, 39, 39]},
        {"anchors": [0, 39, 39], "block_size": 16},
        {"anchors": [0, 1], "others": [2, 7, 39]},
        {"epsilon": 1e-4},
    ],
    ids=lambda pairs: "-".join(pairs),
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_equal_neurons_are_equal_for_all_kinds_of_pairs(pairs, dtype):
    actual = evaluate(np.ones((2304, 40)), dtype=dtype, **pairs)
    # Pairs of 3 drawn ones stand for those of 40, which are 39.
    expected = EQUAL * 40 / 39 if "others" in pairs else EQUAL
    np.testing.assert_allclose(actual.value, expected, rtol=1e-5)
    assert not actual.gradient.any()


def test_equal_neurons_are_equal_in_float64():
    with with_float64():
        actual = evaluate(np.ones((100_352, 7)), dtype="float64")
    np.testing.assert_allclose(actual.value, EQUAL * 2.0**29, rtol=1e-9)
    assert not actual.gradient.any()


@all_modes
@pytest.mark.parametrize("half_space", [False, True])
def test_two_equal_neurons_among_others_get_no_force_from_each_other(
    half_space, mode
):
    weights = random_array(4608, 7)
    weights[:, [0, 6]] = 1.0
    actual = evaluate(weights, mode=mode, half_space=half_space)
    # What is left is the force of the five others.
    assert np.abs(actual.gradient[:, [0, 6]]).max() < 1e-3
    np.testing.assert_allclose(
        actual.gradient[:, 0], actual.gradient[:, 6], atol=1e-9
    )


@all_modes
@pytest.mark.parametrize(
    ("dim", "separation"), [(9, 0.01), (64, 0.1), (2304, 0.01), (10_000, 0.01)]
)
@pytest.mark.parametrize("half_space", [False, True])
def test_nearly_equal_neurons(half_space, separation, dim, mode):
    weights = kernel_with_pair(dim, 6, separation, seed=dim)
    value, gradient = energy_and_gradient(weights, half_space)
    actual = evaluate(weights, mode=mode, half_space=half_space)
    np.testing.assert_allclose(actual.value, value, rtol=1e-2)
    assert_near(actual.gradient, gradient, 2e-2)


@pytest.mark.parametrize("power", [0, 2, 3.7])
@pytest.mark.parametrize("distance", ["euclidean", "angular"])
@pytest.mark.parametrize("half_space", [False, True])
@pytest.mark.parametrize(("dim", "num_neurons"), [(12, 40), (100_352, 8)])
def test_rise_above_orthogonal_pairs_has_its_digits(
    dim, num_neurons, half_space, distance, power
):
    form = EnergyForm(power, distance, half_space)
    weights = random_array(dim, num_neurons, seed=2)
    columns = ops.convert_to_tensor(weights)
    rise, _, living = energy_and_slopes(columns, form, is_rise=True)
    expected = excess(
        weights, power=power, distance=distance, half_space=half_space
    )
    orthogonal = form.potential.value(0.0)
    if half_space:
        opposite = form.potential.value(-1.0) - orthogonal
        expected += opposite / (2 * num_neurons - 1)
    np.testing.assert_allclose(as_float(rise), expected, rtol=1e-3)
    energy = as_float(energy_and_slopes(columns, form)[0])
    np.testing.assert_allclose(energy - orthogonal, expected, atol=1e-6)
    assert as_float(living[0]) == num_neurons

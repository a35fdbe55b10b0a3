"""Wide kernels: equal neurons, nearly equal ones, and random ones."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe import MHE
from keras_mhe.functional import hyperspherical_energy
from keras_mhe.functional._form import EnergyForm
from support.gradients import MODES, value_and_grad
from support.near_pairs import energy_and_gradient, kernel_with_pair
from support.numpy_reference import excess

all_modes = pytest.mark.parametrize("mode", MODES)

#: Energy of equal neurons in float32, power 2.
EQUAL = 524288.0


def evaluate(weights, mode="eager", dtype="float32", **form):
    return value_and_grad(
        lambda tensor: hyperspherical_energy(tensor, **form),
        weights,
        mode=mode,
        dtype=dtype,
    )


@all_modes
@pytest.mark.parametrize(
    ("content", "dim", "num_neurons"),
    [
        ("ones", 9, 6),
        ("ones", 576, 4),
        ("signs", 2304, 33),
        ("random", 10_000, 6),
        ("ones", 100_352, 7),
    ],
)
def test_equal_neurons_are_equal(content, dim, num_neurons, mode):
    rng = np.random.default_rng(0)
    column = {
        "ones": np.ones((dim, 1)),
        "signs": rng.choice([-1.0, 1.0], (dim, 1)),
        "random": rng.normal(size=(dim, 1)),
    }[content]
    weights = np.repeat(column, num_neurons, axis=1)
    full = evaluate(weights, mode)
    np.testing.assert_allclose(full.value, EQUAL, rtol=1e-6)
    assert not full.gradient.any()
    # Lines: of 2N(2N-1)/2 pairs N(N-1) are equal, N**2 opposite.
    lines = evaluate(weights, mode, half_space=True)
    pairs = num_neurons * (2 * num_neurons - 1)
    equal = num_neurons * (num_neurons - 1)
    np.testing.assert_allclose(lines.value, EQUAL * equal / pairs, rtol=1e-5)
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
    expected = EQUAL
    if "others" in pairs:
        # Pairs of 3 drawn ones stand for those of 40, which are 39.
        expected *= 40 / 39
    np.testing.assert_allclose(actual.value, expected, rtol=1e-5)
    assert not actual.gradient.any()


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX has no float64 by default"
)
def test_equal_neurons_are_equal_in_float64():
    actual = evaluate(np.ones((100_352, 7)), dtype="float64")
    np.testing.assert_allclose(actual.value, EQUAL * 2.0**29, rtol=1e-9)
    assert not actual.gradient.any()


@all_modes
@pytest.mark.parametrize("half_space", [False, True])
def test_two_equal_neurons_among_others_get_no_force_from_each_other(
    half_space, mode
):
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(4608, 7))
    weights[:, [0, 6]] = 1.0
    actual = evaluate(weights, mode, half_space=half_space)
    # What is left is the force of the five others.
    assert np.abs(actual.gradient[:, [0, 6]]).max() < 1e-3
    np.testing.assert_allclose(
        actual.gradient[:, 0], actual.gradient[:, 6], atol=1e-9
    )


@pytest.mark.parametrize("initializer", ["ones", "zeros"])
def test_constant_kernels_train_on_without_harm(initializer):
    layer = keras.layers.Conv2D(
        16, 3, kernel_initializer=initializer, kernel_regularizer=MHE(1.0)
    )
    model = keras.Sequential([keras.Input((3, 3, 64)), layer])
    model.compile(keras.optimizers.SGD(0.1), lambda y, x: 0.0 * ops.sum(x))
    before = ops.convert_to_numpy(layer.kernel)
    model.fit(np.ones((4, 3, 3, 64)), np.ones((4, 1, 1, 16)), verbose=0)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.kernel), before)


@all_modes
@pytest.mark.parametrize(
    ("dim", "separation"),
    [(9, 0.01), (64, 0.1), (128, 0.01), (2304, 0.01), (10_000, 0.01)],
)
@pytest.mark.parametrize("half_space", [False, True])
def test_nearly_equal_neurons(half_space, separation, dim, mode):
    weights = kernel_with_pair(dim, 6, separation, seed=dim)
    value, gradient = energy_and_gradient(weights, half_space)
    actual = evaluate(weights, mode, half_space=half_space)
    np.testing.assert_allclose(actual.value, value, rtol=1e-2)
    np.testing.assert_allclose(
        actual.gradient, gradient, atol=2e-2 * np.abs(gradient).max()
    )


@pytest.mark.parametrize("power", [0, 2, 3.7])
@pytest.mark.parametrize("distance", ["euclidean", "angular"])
@pytest.mark.parametrize("half_space", [False, True])
@pytest.mark.parametrize(("dim", "num_neurons"), [(12, 40), (100_352, 8)])
def test_rise_above_orthogonal_pairs_has_its_digits(
    dim, num_neurons, half_space, distance, power
):
    form = EnergyForm(power, distance, half_space)
    weights = np.random.default_rng(2).normal(size=(dim, num_neurons))
    weights = weights.astype("float32")
    rise, _, living = form.energy_and_slopes(
        ops.convert_to_tensor(weights), is_rise=True
    )
    expected = excess(
        weights, power=power, distance=distance, half_space=half_space
    )
    if half_space:
        opposite = form.potential.value(-1.0) - form.potential.value(0.0)
        expected += opposite / (2 * num_neurons - 1)
    energy = form.energy_and_slopes(ops.convert_to_tensor(weights))[0]
    np.testing.assert_allclose(float(rise), expected, rtol=1e-3)
    np.testing.assert_allclose(
        float(energy) - form.potential.value(0.0), expected, atol=1e-6
    )
    assert float(living[0]) == num_neurons

"""Values of the energy against float64 loops, closed forms, invariances."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import hyperspherical_energy
from support import numpy_reference
from support.forms import FORMS, form_id
from support.gradients import FASTEST, MODES, value_and_grad
from support.tolerances import VALUE

all_forms = pytest.mark.parametrize("form", FORMS, ids=form_id)


def energy_of(weights, **form):
    return float(ops.convert_to_numpy(hyperspherical_energy(weights, **form)))


def compiled_energy_of(weights, **form):
    """For many shapes: in eager mode JAX compiles each operation for each."""
    return value_and_grad(
        lambda tensor: hyperspherical_energy(tensor, **form),
        weights,
        mode=FASTEST,
    ).value


def random_weights(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_axes", [8, 16, 33, 64])
def test_sums_of_like_numbers_do_not_drift(num_axes, mode):
    """The axes and their opposites: all energies but few are the same."""
    axes = np.eye(num_axes, dtype="float32")
    weights = np.concatenate([axes, -axes], axis=1)
    found = value_and_grad(
        lambda tensor: hyperspherical_energy(tensor, power=1),
        weights,
        mode=mode,
    )
    others = 2 * num_axes - 2
    expected = (others / math.sqrt(2.0) + 0.5) / (others + 1)
    np.testing.assert_allclose(found.value, expected, rtol=1e-6)


def assert_same(actual, expected, rtol=VALUE["float32"]):
    # Logarithmic energies pass through 0, where nothing is relative.
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=2e-6)


def assert_matches_loops(weights, **form):
    expected = numpy_reference.energy(weights, **form)
    assert_same(energy_of(weights, **form), expected)


# Against the loops.


@all_forms
def test_every_form_matches_loops(form):
    assert_matches_loops(random_weights(5, 6), **form)


@pytest.mark.parametrize(
    ("shape", "neuron_axis"),
    [
        ((5, 6), -1),
        ((5, 6), 0),
        ((5, 6), -2),
        ((3, 4, 5), 1),
        ((3, 2, 4), (1, 2)),
        ((2, 5, 3), (2, 0)),
        ((2, 3, 2, 4), -1),
        ((3, 3, 2, 2), (3, 1)),
        ((2, 2, 2, 2, 4), -1),
        ((2, 2, 2, 2, 3), (-2, -1)),
        ((2, 2, 2, 2, 3), (4, 0, 2)),
    ],
)
def test_neuron_axes_match_loops(shape, neuron_axis):
    weights = random_weights(*shape)
    for form in ({}, {"distance": "angular", "half_space": True, "power": 1}):
        form = {"neuron_axis": neuron_axis, **form}
        expected = numpy_reference.energy(weights, **form)
        assert_same(compiled_energy_of(weights, **form), expected)


@all_forms
def test_groups_match_loops(form):
    assert_matches_loops(random_weights(4, 9), groups=3, **form)


@pytest.mark.parametrize("groups", [1, 2, 4, 12])
@pytest.mark.parametrize("half_space", [False, True])
def test_each_number_of_groups_matches_loops(groups, half_space):
    weights = random_weights(6, 3, 4)
    assert_matches_loops(
        weights, groups=groups, half_space=half_space, neuron_axis=(1, 2)
    )


def test_group_order_follows_the_axis_tuple():
    weights = random_weights(3, 2, 4)
    by_first = energy_of(weights, neuron_axis=(1, 2), groups=2)
    by_second = energy_of(weights, neuron_axis=(2, 1), groups=4)
    assert_same(
        by_first,
        np.mean([energy_of(weights[:, head, :]) for head in range(2)]),
    )
    assert_same(
        by_second,
        np.mean([energy_of(weights[:, :, column]) for column in range(4)]),
    )


@all_forms
@pytest.mark.parametrize("epsilon", [1e-4, 0.5, 100.0])
def test_epsilon_matches_loops(form, epsilon):
    weights = random_weights(4, 5) * np.array([0.01, 0.1, 1, 3, 10], "float32")
    assert_matches_loops(weights, epsilon=epsilon, **form)


@all_forms
@pytest.mark.parametrize("anchors", [[0], [4, 1], [2, 2, 5, 2], range(6)])
def test_anchors_match_loops(form, anchors):
    assert_matches_loops(random_weights(4, 6), anchors=list(anchors), **form)


@all_forms
def test_anchors_with_groups_and_epsilon_match_loops(form):
    assert_matches_loops(
        random_weights(3, 8),
        anchors=[0, 3, 3, 7],
        groups=2,
        epsilon=0.1,
        **form,
    )


@pytest.mark.parametrize("half_space", [False, True])
def test_every_kind_of_anchor_container_is_accepted(half_space):
    weights = random_weights(4, 6)
    expected = numpy_reference.energy(
        weights, anchors=[1, 4, 4], half_space=half_space
    )
    for anchors in (
        [1, 4, 4],
        (1, 4, 4),
        np.array([1, 4, 4]),
        np.array([1, 4, 4], "uint8"),
        ops.convert_to_tensor([1, 4, 4], dtype="int32"),
        ops.convert_to_tensor(np.array([1, 4, 4], "uint8")),
    ):
        actual = energy_of(weights, anchors=anchors, half_space=half_space)
        assert_same(actual, expected)


@all_forms
def test_each_neuron_once_as_anchor_is_the_full_energy(form):
    weights = random_weights(4, 6)
    anchored = energy_of(weights, anchors=np.arange(6), **form)
    assert_same(anchored, energy_of(weights, **form))


def test_weights_may_be_an_array_a_tensor_or_a_variable():
    weights = random_weights(4, 6)
    expected = numpy_reference.energy(weights)
    for given in (
        weights,
        ops.convert_to_tensor(weights),
        keras.Variable(weights),
    ):
        assert_same(energy_of(given), expected)


def test_integers_are_taken_as_float32():
    weights = np.array([[1, 2, -3], [0, 5, 1]])
    value = hyperspherical_energy(weights)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert_same(float(value), numpy_reference.energy(weights))


@all_forms
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_short_dtypes_are_computed_in_float32(form, dtype):
    weights = ops.cast(random_weights(5, 6), dtype)
    value = hyperspherical_energy(weights, **form)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    rounded = ops.convert_to_numpy(ops.cast(weights, "float32"))
    expected = numpy_reference.energy(rounded, **form)
    assert_same(float(value), expected, rtol=VALUE[dtype])


@pytest.mark.parametrize("block_size", [1, 3, np.int64(5), 64, "auto"])
@pytest.mark.parametrize("anchors", [None, [0, 3, 3]])
def test_block_size_does_not_change_the_result(block_size, anchors):
    weights = random_weights(4, 10)
    for form in FORMS[:4]:
        form = {**form, "anchors": anchors, "groups": 2}
        blocked = energy_of(weights, block_size=block_size, **form)
        assert_same(blocked, energy_of(weights, **form))


# Closed forms.


def euclidean(distance, power):
    return -math.log(distance) if power == 0 else distance**-power


@pytest.mark.parametrize("power", [0, 0.5, 1, 2, 3.7])
def test_opposite_pair(power):
    weights = np.array([[1.0, -2.0], [1.0, -2.0]])
    assert_same(energy_of(weights, power=power), euclidean(2.0, power))
    angular = energy_of(weights, power=power, distance="angular")
    # A float32 cosine one digit above -1 is an angle 3.5e-4 below pi.
    assert_same(angular, euclidean(math.pi, power), rtol=5e-4)


@pytest.mark.parametrize("power", [0, 0.5, 1, 2, 3.7])
def test_orthonormal_neurons(power):
    weights = np.eye(5)
    pair = euclidean(math.sqrt(2.0), power)
    assert_same(energy_of(weights, power=power), pair)
    # Of 45 pairs of +-5 vectors, 40 are orthogonal and 5 opposite.
    half = (40 * pair + 5 * euclidean(2.0, power)) / 45
    assert_same(energy_of(weights, power=power, half_space=True), half)


@pytest.mark.parametrize("power", [0, 0.5, 1, 2, 3.7])
@pytest.mark.parametrize("dim", [2, 7])
def test_regular_simplex(power, dim):
    # The basis of R^(d+1), seen from its centre.
    weights = np.eye(dim + 1) - 1.0 / (dim + 1)
    separation = math.sqrt(2.0 + 2.0 / dim)
    assert_same(
        compiled_energy_of(weights, power=power), euclidean(separation, power)
    )
    angular = compiled_energy_of(weights, power=power, distance="angular")
    assert_same(angular, euclidean(math.acos(-1.0 / dim), power))


@pytest.mark.parametrize("power", [0, 0.5, 1, 2, 3.7])
@pytest.mark.parametrize("dim", [2, 8])
def test_cross_polytope(power, dim):
    weights = np.concatenate([np.eye(dim), -np.eye(dim)], axis=1)
    opposite, orthogonal = dim, 2 * dim * (dim - 1)
    total = opposite * euclidean(2.0, power)
    total += orthogonal * euclidean(math.sqrt(2.0), power)
    expected = total / (opposite + orthogonal)
    assert_same(compiled_energy_of(weights, power=power), expected)
    half = compiled_energy_of(np.eye(dim), power=power, half_space=True)
    assert_same(half, expected)


# Invariances.


@all_forms
def test_unchanged_by_rotation(form):
    weights = random_weights(5, 6)
    rotation, _ = np.linalg.qr(random_weights(5, 5, seed=2))
    rotated = energy_of(rotation.astype("float32") @ weights, **form)
    assert_same(rotated, energy_of(weights, **form), rtol=3e-5)


@all_forms
def test_unchanged_by_order(form):
    weights = random_weights(5, 6)
    order = np.array([3, 0, 5, 1, 4, 2])
    assert_same(
        energy_of(weights[:, order], **form), energy_of(weights, **form)
    )


@all_forms
@pytest.mark.parametrize("factor", [1e-15, 1e-30, 1e15, 1e30])
def test_unchanged_by_scale_of_all_neurons(form, factor):
    weights = random_weights(5, 6)
    scaled = (weights * factor).astype("float32")
    assert_same(energy_of(scaled, **form), energy_of(weights, **form))


@all_forms
def test_unchanged_by_scale_of_each_neuron(form):
    weights = random_weights(5, 6)
    factors = np.array([1e-15, 1e15, 1.0, 3e-8, 1e7, 1e-15], "float32")
    assert_same(
        energy_of(weights * factors, **form), energy_of(weights, **form)
    )
    for neuron in range(6):
        for factor in (1e-15, 1e15):
            scaled = weights.copy()
            scaled[:, neuron] *= np.float32(factor)
            assert_same(energy_of(scaled, **form), energy_of(weights, **form))


@all_forms
def test_sign_matters_in_full_space_only(form):
    weights = random_weights(5, 6)
    signs = np.array([1, -1, -1, 1, 1, -1], "float32")
    flipped = energy_of(weights * signs, **form)
    if form["half_space"]:
        assert_same(flipped, energy_of(weights, **form))
    else:
        assert abs(flipped - energy_of(weights, **form)) > 1e-3

"""Every `ValueError` of the energy: argument, expectation, received value."""

import math
import re

import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import hyperspherical_energy

pytestmark = pytest.mark.whole_grid

WEIGHTS = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def assert_error(message, weights=WEIGHTS, **form):
    with pytest.raises(ValueError, match=re.escape(message)):
        hyperspherical_energy(weights, **form)


@pytest.mark.parametrize("name", ["power", "epsilon"])
@pytest.mark.parametrize(
    "value",
    [-1, -1e-9, math.nan, math.inf, -math.inf, "2", None, True, 1j, [2.0]],
    ids=repr,
)
def test_not_a_non_negative_real(name, value):
    assert_error(
        f"`{name}` must be a finite real number >= 0. "
        f"Received: {name}={value!r}.",
        **{name: value},
    )


@pytest.mark.parametrize("value", [2, np.int64(2), np.float32(2), 2.0])
def test_every_real_number_is_a_power(value):
    expected = hyperspherical_energy(WEIGHTS, power=2)
    actual = hyperspherical_energy(WEIGHTS, power=value, epsilon=0)
    assert float(actual) == float(expected)


@pytest.mark.parametrize("value", ["cosine", "Euclidean", "", None, 2])
def test_unknown_distance(value):
    assert_error(
        "`distance` must be one of 'euclidean', 'angular'. "
        f"Received: distance={value!r}.",
        distance=value,
    )


@pytest.mark.parametrize("value", [1, 0, "yes", None])
def test_half_space_is_not_a_bool(value):
    assert_error(
        f"`half_space` must be True or False. Received: half_space={value!r}.",
        half_space=value,
    )


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", None, True])
def test_groups_is_not_a_positive_integer(value):
    assert_error(
        f"`groups` must be an integer >= 1. Received: groups={value!r}.",
        groups=value,
    )


@pytest.mark.parametrize("groups", [4, 5, 7, 12])
def test_groups_do_not_divide(groups):
    assert_error(
        "`groups` must divide the number of neurons. "
        f"Received: groups={groups}, number of neurons=6.",
        groups=groups,
    )


@pytest.mark.parametrize("value", [0, -3, 1.5, "all", None, True])
def test_block_size(value):
    assert_error(
        "`block_size` must be 'auto' or an integer >= 1. "
        f"Received: block_size={value!r}.",
        block_size=value,
    )


@pytest.mark.parametrize(
    "value", [1.0, "last", None, (), [], (0, 1.0), (0, None), True, (True,)]
)
def test_neuron_axis_is_not_integers(value):
    assert_error(
        "`neuron_axis` must be an integer or a non-empty tuple of integers. "
        f"Received: neuron_axis={value!r}.",
        neuron_axis=value,
    )


@pytest.mark.parametrize("value", [2, -3, 17, (0, 2), (-3,)])
def test_neuron_axis_out_of_range(value):
    assert_error(
        "`neuron_axis` must be in [-2, 1] for weights of rank 2. "
        f"Received: neuron_axis={value}, weights.shape=(4, 6).",
        neuron_axis=value,
    )


@pytest.mark.parametrize("value", [(0, 0), (1, -1), (0, 1), (-1, -2)])
def test_neuron_axis_repeats_or_leaves_no_vector(value):
    assert_error(
        "`neuron_axis` must name each axis once and leave at least one axis "
        f"for the neuron's vector. Received: neuron_axis={value}, "
        "weights.shape=(4, 6).",
        neuron_axis=value,
    )


@pytest.mark.parametrize("weights", [np.float32(1.0), np.ones(3, "float32")])
def test_rank_0_and_1(weights):
    assert_error(
        "`weights` must have rank 2 or more: axes that count the neurons and "
        "axes that hold each neuron's vector. "
        f"Received: weights.shape={weights.shape}.",
        weights,
    )


def test_no_neurons():
    assert_error(
        "`weights` must hold at least one neuron. Received: 0 neurons.",
        np.ones((4, 0), "float32"),
    )


def test_no_entries():
    assert_error(
        "`weights` must hold vectors of at least one entry. "
        "Received: weights.shape=(0, 3), neuron_axis=-1.",
        np.ones((0, 3), "float32"),
    )


@pytest.mark.parametrize("container", [list, np.array, ops.convert_to_tensor])
@pytest.mark.parametrize("wrong", [-1, 6, 100])
def test_anchors_out_of_range(container, wrong):
    assert_error(
        "`anchors` must be in [0, 5], the indices of the neurons. "
        f"Received: {wrong}.",
        anchors=container([0, wrong, 1]),
    )


@pytest.mark.parametrize(
    ("anchors", "received"),
    [
        ([], "shape=(0,), dtype=float64"),
        ([[1, 2]], "shape=(1, 2), dtype=int64"),
        (3, "shape=(), dtype=int64"),
        ([1.0, 2.0], "shape=(2,), dtype=float64"),
        ([True, False], "shape=(2,), dtype=bool"),
    ],
)
def test_anchors_are_not_a_vector_of_integers(anchors, received):
    assert_error(
        "`anchors` must be a non-empty vector of integers, shape (m,). "
        f"Received: {received}.",
        anchors=anchors,
    )


def test_anchor_tensor_of_floats():
    assert_error(
        "`anchors` must be a non-empty vector of integers, shape (m,). "
        "Received: shape=(2,), dtype=float32.",
        anchors=ops.convert_to_tensor([1.0, 2.0], dtype="float32"),
    )

"""Every `ValueError` of the energy: argument, expectation, received value."""

import math
import re

import numpy as np
import pytest
from keras import ops

from keras_mhe.ops import hyperspherical_energy
from support.tensors import as_float, random_array

pytestmark = pytest.mark.whole_grid

WEIGHTS = random_array(4, 6)
NOT_REAL = [
    -1,
    -1e-9,
    math.nan,
    math.inf,
    -math.inf,
    "2",
    None,
    True,
    1j,
    [2.0],
]

#: What an argument must be, and values that it must not have.
WRONG = {
    "power": ("a finite real number >= 0", NOT_REAL),
    "epsilon": ("a finite real number >= 0", NOT_REAL),
    "distance": (
        "one of 'euclidean', 'angular'",
        ["cosine", "Euclidean", "", None, 2],
    ),
    "half_space": ("True or False", [1, 0, "yes", None]),
    "groups": ("an integer >= 1", [0, -1, 2.0, "2", None, True]),
    "block_size": (
        "'auto' or an integer >= 1",
        [0, -3, 1.5, "all", None, True],
    ),
    "neuron_axis": (
        "an integer or a non-empty tuple of integers",
        [1.0, "last", None, (), [], (0, 1.0), (0, None), True, (True,)],
    ),
}


def assert_error(message, weights=WEIGHTS, **form):
    with pytest.raises(ValueError, match=re.escape(message)):
        hyperspherical_energy(weights, **form)


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in WRONG for value in WRONG[name][1]],
    ids=repr,
)
def test_argument_out_of_range(name, value):
    assert_error(
        f"`{name}` must be {WRONG[name][0]}. Received: {name}={value!r}.",
        **{name: value},
    )


@pytest.mark.parametrize("value", [2, np.int64(2), np.float32(2), 2.0])
def test_every_real_number_is_a_power(value):
    expected = hyperspherical_energy(WEIGHTS, power=2)
    actual = hyperspherical_energy(WEIGHTS, power=value, epsilon=0)
    assert as_float(actual) == as_float(expected)


@pytest.mark.parametrize("groups", [4, 12])
def test_groups_do_not_divide(groups):
    assert_error(
        "`groups` must divide the number of neurons. "
        f"Received: groups={groups}, number of neurons=6.",
        groups=groups,
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


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 0), "at least one neuron. Received: 0 neurons."),
        (
            (0, 3),
            "vectors of at least one entry. "
            "Received: weights.shape=(0, 3), neuron_axis=-1.",
        ),
    ],
)
def test_nothing_to_measure(shape, message):
    assert_error(f"`weights` must hold {message}", np.ones(shape, "float32"))


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
        ([True, False], "shape=(2,), dtype=bool"),
        (np.ones(2, "float32"), "shape=(2,), dtype=float32"),
        (ops.ones(2), "shape=(2,), dtype=float32"),
    ],
    ids=str,
)
def test_anchors_are_not_a_vector_of_integers(anchors, received):
    assert_error(
        "`anchors` must be a non-empty vector of integers, shape (m,). "
        f"Received: {received}.",
        anchors=anchors,
    )

"""Energies and gradients against float64 loops, closed forms, invariances."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe.ops import hyperspherical_energy
from support import numpy_reference
from support.energies import assert_matches_loops, assert_value, evaluate
from support.forms import DISTANCES, FEW_FORMS, FORMS, POWERS, form_id
from support.gradients import MODES
from support.tensors import as_float, dtype_of, random_array, rounded

all_forms = pytest.mark.parametrize("form", FORMS, ids=form_id)
few_forms = pytest.mark.parametrize("form", FEW_FORMS, ids=form_id)
WEIGHTS = random_array(5, 6)


# Against the loops.

LENGTHS = np.array([0.01, 0.05, 0.3, 1, 3, 10], "float32")
#: Weights, and what comes beside the form of the energy.
CASES = {
    "plain": (WEIGHTS, {}),
    "epsilon": (WEIGHTS * LENGTHS, {"epsilon": 0.01}),
    "groups": (WEIGHTS, {"groups": 3}),
    "anchors": (WEIGHTS, {"anchors": [2, 2, 5, 2]}),
    "all of it": (
        WEIGHTS,
        {"anchors": [0, 3, 3, 5], "groups": 2, "epsilon": 0.1},
    ),
}


@all_forms
@pytest.mark.parametrize("case", CASES)
def test_every_form_matches_loops(case, form):
    weights, options = CASES[case]
    evaluation = evaluate(weights, **form, **options)
    assert_matches_loops(evaluation, weights, **form, **options)


@pytest.mark.parametrize(
    ("shape", "neuron_axis", "groups"),
    [
        ((6, 5), 0, 1),
        ((5, 6), -2, 1),
        ((3, 4, 5), 1, 2),
        ((3, 2, 4), (1, 2), 2),
        ((2, 3, 2), (2, 0), 4),
        ((2, 3, 2, 4), -1, 1),
        ((2, 3, 2, 1, 2), (4, 0, 2), 2),
    ],
)
@pytest.mark.parametrize("half_space", [False, True])
def test_axes_and_groups_match_loops(half_space, shape, neuron_axis, groups):
    weights = random_array(*shape)
    form = {
        "neuron_axis": neuron_axis,
        "groups": groups,
        "half_space": half_space,
    }
    assert_matches_loops(evaluate(weights, **form), weights, **form)


def test_group_order_follows_the_axis_tuple():
    weights = random_array(3, 2, 4)
    for axes, groups in (((1, 2), 2), ((2, 1), 4)):
        value = evaluate(weights, neuron_axis=axes, groups=groups).value
        members = np.moveaxis(weights, axes[0], 0)
        assert_value(value, np.mean([evaluate(m).value for m in members]))


@pytest.mark.parametrize("mode", MODES)
@few_forms
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_dtypes_are_computed_in_float32(dtype, form, mode):
    evaluation = evaluate(WEIGHTS, mode=mode, dtype=dtype, **form)
    assert evaluation.value_dtype == "float32"
    assert evaluation.gradient_dtype == dtype
    held = rounded(WEIGHTS, dtype)
    assert_matches_loops(evaluation, held, dtype, **form)


def test_every_kind_of_anchor_container_is_accepted():
    form = {"anchors": [1, 4, 4]}
    expected = numpy_reference.energy(WEIGHTS, **form)
    for form["anchors"] in (
        [1, 4, 4],
        (1, 4, 4),
        np.array([1, 4, 4]),
        np.array([1, 4, 4], "uint8"),
        ops.convert_to_tensor([1, 4, 4], dtype="int32"),
        ops.convert_to_tensor(np.array([1, 4, 4], "uint8")),
    ):
        assert_value(as_float(hyperspherical_energy(WEIGHTS, **form)), expected)


def test_weights_may_be_an_array_a_tensor_or_a_variable():
    expected = numpy_reference.energy(WEIGHTS)
    for given in (
        WEIGHTS,
        ops.convert_to_tensor(WEIGHTS),
        keras.Variable(WEIGHTS),
    ):
        assert_value(as_float(hyperspherical_energy(given)), expected)


def test_integers_are_taken_as_float32():
    weights = (10.0 * WEIGHTS).astype("int32")
    value = hyperspherical_energy(weights)
    assert dtype_of(value) == "float32"
    assert_value(as_float(value), numpy_reference.energy(weights))


# Closed forms.

AXES = np.eye(7)
#: Neurons, whether in half space, and how many pairs have which cosine.
CLOSED = {
    "opposite": (np.array([[1, -2], [1, -2]]), False, {-1.0: 1}),
    "axes": (AXES, False, {0.0: 21}),
    "axes and opposites": (np.hstack([AXES, -AXES]), False, {0: 84, -1.0: 7}),
    "axes in half space": (AXES, True, {0.0: 84, -1.0: 7}),
    # The axes, seen from their centre.
    "simplex": (AXES - 1.0 / 7.0, False, {-1.0 / 6.0: 21}),
    "triangle": (np.eye(3) - 1.0 / 3.0, False, {-0.5: 3}),
}


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms(name, distance, power):
    weights, half_space, pairs = CLOSED[name]

    def pair(cosine):
        angle = math.acos(cosine)
        if distance == "euclidean":
            angle = math.sqrt(2.0 - 2.0 * cosine)
        return -math.log(angle) if power == 0 else angle**-power

    form = {"power": power, "distance": distance, "half_space": half_space}
    expected = sum(n * pair(cosine) for cosine, n in pairs.items())
    # A float32 cosine one digit above -1 is an angle 3.5e-4 below pi.
    rtol = 5e-4 if distance == "angular" and -1.0 in pairs else 1e-5
    assert_value(
        evaluate(weights, **form).value, expected / sum(pairs.values()), rtol
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_axes", [16, 33, 64])
def test_sums_of_like_numbers_do_not_drift(num_axes, mode):
    """The axes and their opposites: all energies but few are the same."""
    axes = np.eye(num_axes, dtype="float32")
    weights = np.concatenate([axes, -axes], axis=1)
    others = 2 * num_axes - 2
    expected = (others / math.sqrt(2.0) + 0.5) / (others + 1)
    value = evaluate(weights, mode=mode, power=1).value
    np.testing.assert_allclose(value, expected, rtol=1e-6)


# Invariances.

ROTATION, _ = np.linalg.qr(random_array(5, 5, seed=2))


@all_forms
def test_unchanged_by_rotation_and_order(form):
    changed = ROTATION @ WEIGHTS[:, [3, 0, 5, 1, 4, 2]]
    actual, expected = evaluate(changed, **form), evaluate(WEIGHTS, **form)
    assert_value(actual.value, expected.value, rtol=3e-5)


@all_forms
@pytest.mark.parametrize(
    "factors",
    [1e-28, 1e30, [1e-15, 1e15, 1.0, 3e-8, 1e7, 1e-15]],
    ids=["tiny", "huge", "mixed"],
)
def test_unchanged_by_scale(factors, form):
    """And gradients are inverse to the norm, each by itself."""
    factors = np.broadcast_to(np.float32(factors), 6)
    actual = evaluate(WEIGHTS * factors, **form)
    expected = evaluate(WEIGHTS, **form)
    assert_value(actual.value, expected.value)
    largest = np.abs(expected.gradient).max(axis=0)
    np.testing.assert_allclose(
        actual.gradient * factors / largest,
        expected.gradient / largest,
        atol=1e-4,
    )


@all_forms
def test_sign_matters_in_full_space_only(form):
    signs = np.array([1, -1, -1, 1, 1, -1], "float32")
    flipped = evaluate(WEIGHTS * signs, **form).value
    plain = evaluate(WEIGHTS, **form).value
    if form["half_space"]:
        assert_value(flipped, plain)
    else:
        assert abs(flipped - plain) > 1e-3

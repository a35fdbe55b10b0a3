"""Neurons of zeros are not there: dying changes nothing."""

import numpy as np
import pytest

from support.energies import assert_same, assert_value, evaluate
from support.forms import FEW_FORMS, form_id
from support.gradients import MODES, Evaluation
from support.tensors import random_array

few_forms = pytest.mark.parametrize("form", FEW_FORMS, ids=form_id)
all_modes = pytest.mark.parametrize("mode", MODES)

#: Indices of the living among eight neurons.
LIVING = [0, 2, 3, 5, 6]
WEIGHTS = random_array(5, 8)
WEIGHTS[:, [1, 4, 7]] = 0.0
ALIVE = WEIGHTS[:, LIVING]


def assert_same_without_others(actual, expected, living=LIVING):
    assert not np.delete(actual.gradient, living, axis=1).any()
    gradient = actual.gradient[:, living]
    assert_same(Evaluation(actual.value, gradient, "", ""), expected)


#: Pairs of eight neurons, and the same ones of the five that live.
PAIRS = {
    "all": ({}, {}),
    "tiles": ({"block_size": 3}, {}),
    "anchors": ({"anchors": [0, 1, 3, 3]}, {"anchors": [0, 2, 2]}),
    "anchors in tiles": (
        {"anchors": [0, 1, 3, 3], "block_size": 3},
        {"anchors": [0, 2, 2]},
    ),
    # All are drawn, so the estimate is the value.
    "drawn": (
        {"anchors": [0, 1, 3], "others": range(8)},
        {"anchors": [0, 2]},
    ),
}


@all_modes
@few_forms
@pytest.mark.parametrize("pairs", PAIRS)
def test_zeros_change_nothing(pairs, form, mode):
    of_all, of_living = PAIRS[pairs]
    assert_same_without_others(
        evaluate(WEIGHTS, mode=mode, **of_all, **form),
        evaluate(ALIVE, **of_living, **form),
    )


@few_forms
def test_each_group_has_its_own_number(form):
    # Three living and one dead, then two and two.
    parts = [evaluate(WEIGHTS[:, g], **form) for g in ([0, 2, 3], [5, 6])]
    per_group = [3 * 5, 2 * 3] if form["half_space"] else [3, 1]
    shares = np.array(per_group) / sum(per_group)
    actual = evaluate(WEIGHTS, groups=2, **form)
    expected = sum(s * p.value for s, p in zip(shares, parts, strict=True))
    assert_value(actual.value, expected)
    gradient = [s * p.gradient for s, p in zip(shares, parts, strict=True)]
    np.testing.assert_allclose(
        actual.gradient[:, LIVING], np.concatenate(gradient, 1), atol=1e-5
    )
    anchored = evaluate(WEIGHTS, groups=2, anchors=range(8), **form)
    assert_value(anchored.value, expected)


@few_forms
def test_a_group_of_one_living_neuron_has_no_pair(form):
    weights = WEIGHTS.copy()
    weights[:, 5] = 0.0  # Leaves neuron 6 alone.
    actual = evaluate(weights, groups=2, **form)
    expected = evaluate(weights[:, [0, 2, 3]], **form)
    assert_same_without_others(actual, expected, [0, 2, 3])


@all_modes
@pytest.mark.parametrize("living", [0, 1])
@pytest.mark.parametrize("half_space", [False, True])
def test_no_pair_is_left(half_space, living, mode):
    weights = np.zeros((3, 4))
    weights[:, :living] = 1.0
    actual = evaluate(weights, mode=mode, half_space=half_space)
    assert actual.value == 0.0
    assert not actual.gradient.any()


def test_epsilon_keeps_neurons_of_zeros():
    actual = evaluate(WEIGHTS, epsilon=1e-4).value
    assert actual != evaluate(ALIVE, epsilon=1e-4).value

"""Neurons of zeros are not there: dying changes nothing."""

import numpy as np
import pytest

from keras_mhe.functional import hyperspherical_energy
from support.forms import FEW_FORMS, form_id
from support.gradients import MODES, value_and_grad

few_forms = pytest.mark.parametrize("form", FEW_FORMS, ids=form_id)
all_modes = pytest.mark.parametrize("mode", MODES)

#: Indices of the living among eight neurons.
LIVING = [0, 2, 3, 5, 6]


def evaluate(weights, mode="eager", **form):
    return value_and_grad(
        lambda tensor: hyperspherical_energy(tensor, **form), weights, mode=mode
    )


def kernel(dim=5):
    weights = np.random.default_rng(0).normal(size=(dim, 8))
    weights[:, [1, 4, 7]] = 0.0
    return weights


def assert_same(actual, expected, living=LIVING):
    np.testing.assert_allclose(actual.value, expected.value, rtol=1e-5)
    np.testing.assert_allclose(
        actual.gradient[:, living],
        expected.gradient,
        atol=1e-5 * np.abs(expected.gradient).max(),
    )
    others = np.delete(actual.gradient, living, axis=1)
    assert not others.any()


@all_modes
@few_forms
@pytest.mark.parametrize("block_size", ["auto", 3])
def test_zeros_change_nothing(form, block_size, mode):
    weights = kernel()
    assert_same(
        evaluate(weights, mode, block_size=block_size, **form),
        evaluate(weights[:, LIVING], **form),
    )


@few_forms
@pytest.mark.parametrize("block_size", ["auto", 3])
def test_zeros_change_nothing_for_anchors(form, block_size):
    weights = kernel()
    # Of neurons 0, 1, 3, 3, of which 1 is dead.
    actual = evaluate(
        weights, anchors=[0, 1, 3, 3], block_size=block_size, **form
    )
    expected = evaluate(weights[:, LIVING], anchors=[0, 2, 2], **form)
    assert_same(actual, expected)


@few_forms
def test_each_group_has_its_own_number(form):
    weights = kernel()
    # Three living and one dead, then two and two.
    groups = [weights[:, [0, 2, 3]], weights[:, [5, 6]]]
    parts = [evaluate(group, **form) for group in groups]
    per_group = [3 * 5, 2 * 3] if form["half_space"] else [3, 1]
    shares = np.array(per_group) / sum(per_group)
    actual = evaluate(weights, groups=2, **form)
    expected = sum(s * p.value for s, p in zip(shares, parts, strict=True))
    np.testing.assert_allclose(actual.value, expected, rtol=1e-5)
    gradient = [s * p.gradient for s, p in zip(shares, parts, strict=True)]
    np.testing.assert_allclose(
        actual.gradient[:, LIVING], np.concatenate(gradient, 1), atol=1e-5
    )
    anchored = evaluate(weights, groups=2, anchors=range(8), **form)
    np.testing.assert_allclose(anchored.value, expected, rtol=1e-5)


@few_forms
def test_a_group_of_one_living_neuron_has_no_pair(form):
    weights = kernel()
    weights[:, 5] = 0.0  # Leaves neuron 6 alone.
    expected = evaluate(weights[:, [0, 2, 3]], **form)
    assert_same(evaluate(weights, groups=2, **form), expected, [0, 2, 3])


@few_forms
def test_dead_neurons_among_drawn_ones(form):
    weights = kernel()
    # All are drawn, so the estimate is the value.
    actual = evaluate(weights, anchors=[0, 1, 3], others=range(8), **form)
    expected = evaluate(weights[:, LIVING], anchors=[0, 2], **form)
    assert_same(actual, expected)


@all_modes
@pytest.mark.parametrize("living", [0, 1])
@pytest.mark.parametrize("half_space", [False, True])
def test_no_pair_is_left(half_space, living, mode):
    weights = np.zeros((3, 4))
    weights[:, :living] = 1.0
    actual = evaluate(weights, mode, half_space=half_space)
    assert actual.value == 0.0
    assert not actual.gradient.any()


def test_epsilon_keeps_neurons_of_zeros():
    weights = kernel(3)
    with_epsilon = evaluate(weights, epsilon=1e-4)
    assert (
        with_epsilon.value != evaluate(weights[:, LIVING], epsilon=1e-4).value
    )

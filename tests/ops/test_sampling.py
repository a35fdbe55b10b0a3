"""Drawn classes: how they are drawn, and sums over them."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe.ops import cosines, hyperspherical_energy
from keras_mhe.ops._heads.sampling import (
    MASKED,
    draw_classes,
    sampled_logits,
    target_columns,
)
from support.energies import assert_matches_loops
from support.gradients import (
    ALL_MODES,
    FASTEST,
    MODES,
    Evaluation,
    evaluator,
    value_and_grad,
)
from support.numpy_reference import differences
from support.tensors import (
    as_array,
    as_float,
    assert_near,
    random_array,
    rounded,
)

FEATURES = random_array(5, 4)
KERNEL = random_array(4, 12, seed=1)
#: Class 7 twice.
LABELS = np.array([7, 0, 7, 11, 3], "int32")
SCALE, MARGIN = 3.0, 0.4


# How they are drawn.


def draws(units, num_drawn, count):
    seed = keras.random.SeedGenerator(1)
    return np.stack(
        [as_array(draw_classes(units, num_drawn, seed)) for _ in range(count)]
    )


@pytest.mark.parametrize(
    ("units", "num_drawn"), [(1, 1), (7, 1), (7, 3), (7, 7), (100, 64)]
)
def test_no_class_is_drawn_twice(units, num_drawn):
    for drawn in draws(units, num_drawn, 30):
        assert drawn.dtype.kind == "i"
        assert len(set(drawn.tolist())) == num_drawn
        assert drawn.min() >= 0
        assert drawn.max() < units


def test_every_class_is_drawn_equally_often():
    frequencies = np.bincount(draws(11, 4, 1500).ravel(), minlength=11) / 1500
    deviation = math.sqrt(4 / 11 * 7 / 11 / 1500)
    np.testing.assert_allclose(frequencies, 4 / 11, atol=5 * deviation)


def test_draws_are_spread_over_all_classes():
    for drawn in draws(100, 64, 5):
        assert np.diff(np.sort(drawn)).max() <= 4
        left_out = np.setdiff1d(np.arange(100), drawn)
        assert np.diff(left_out).max() <= 6


# Logits of drawn classes.


def logits_of(features, kernel, labels, drawn):
    tensors = [
        ops.convert_to_tensor(labels, "int32"),
        ops.convert_to_tensor(drawn, "int32"),
    ]
    return sampled_logits(
        ops.convert_to_tensor(features),
        ops.convert_to_tensor(kernel),
        *tensors,
        scale=SCALE,
        margin=lambda cosine: cosine - MARGIN,
    )


def sampled(drawn, labels=LABELS):
    return as_array(logits_of(FEATURES, KERNEL, labels, list(drawn)))


def full_logits():
    """Logits with margin against all classes."""
    logits = SCALE * as_array(cosines(FEATURES, KERNEL))
    logits[np.arange(5), LABELS] -= SCALE * MARGIN
    return logits


def test_logits_against_loops():
    drawn = [2, 7, 5]
    expected = np.full((5, 1 + 5 + 3), MASKED)
    logits = full_logits()
    for row in range(5):
        seen = set()
        for column, label in enumerate(LABELS):
            is_own = column == row
            if is_own or (label != LABELS[row] and label not in seen):
                expected[row, 1 + column] = logits[row, label]
            seen.add(label)
        for column, label in enumerate(drawn):
            if label not in LABELS:
                expected[row, 6 + column] = logits[row, label] + math.log(4)
    np.testing.assert_allclose(sampled(drawn), expected, rtol=1e-5, atol=1e-5)


def test_labels_out_of_range_are_the_nearest_class():
    np.testing.assert_array_equal(
        sampled([0, 2, 5], [-1, 12, 7, 20, 3]),
        sampled([0, 2, 5], [0, 11, 7, 11, 3]),
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradient_of_a_short_kernel_whose_columns_repeat(dtype):
    features = random_array(600, 4)
    features[:, 0] += 2.0

    def loss(kernel, labels, drawn):
        logits = logits_of(features, kernel, labels, drawn)
        return ops.sum(ops.where(logits > MASKED / 2, logits, 0.0))

    kernel = rounded(KERNEL, dtype)
    labels = np.full(600, 7, "int32")
    short, expected = (
        value_and_grad(loss, kernel, labels, [1, 2], dtype=computed).gradient
        for computed in (dtype, "float32")
    )
    assert_near(short, expected, 0.01)


def all_draws(units, num_drawn):
    """Draws whose mean over all is the mean over `draw_classes`' draws."""
    begins = np.arange(num_drawn) * units // num_drawn
    return [(begins + first) % units for first in range(units)]


def test_sum_over_classes_is_unbiased():
    sums = [np.exp(sampled(drawn)).sum(axis=1) for drawn in all_draws(12, 3)]
    np.testing.assert_allclose(
        np.mean(sums, axis=0), np.exp(full_logits()).sum(axis=1), rtol=1e-5
    )


def test_target_columns():
    sampled_rows = np.zeros((3, 9), "float32")
    sampled_rows[:, 0] = MASKED
    labels = ops.convert_to_tensor(np.array([8, 0, 5], "int32"))
    for logits, expected in (
        (sampled_rows, [1, 2, 3]),
        (np.zeros((3, 9), "float32"), [8, 0, 5]),
        # Plain logits as low as they can get.
        (np.full((3, 9), -1e25, "float32"), [8, 0, 5]),
    ):
        columns = target_columns(ops.convert_to_tensor(logits), labels)
        assert as_array(columns).tolist() == expected


# The energy of anchors with drawn neurons.

FORMS = {
    "full": {},
    "half": {"half_space": True},
    "half-epsilon": {"half_space": True, "epsilon": 0.5},
    "angular-log": {"distance": "angular", "power": 0},
}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def energy_of(form, mode, **options):
    """Evaluates by kernel, anchors and drawn neurons; compiled once."""
    return evaluator(
        lambda kernel, anchors, others: hyperspherical_energy(
            kernel, anchors=anchors, others=others, **form, **options
        ),
        mode=mode,
    )


@pytest.mark.parametrize("block_size", [100, 5], ids=["table", "tiles"])
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *((name, FASTEST) for name in FORMS),
        *(
            pytest.param(
                "half-epsilon",
                mode,
                marks=[pytest.mark.slow] if mode == "dynamic" else [],
            )
            for mode in ALL_MODES
            if mode != FASTEST
        ),
    ],
)
def test_all_neurons_drawn_are_the_anchor_form(name, mode, block_size):
    form = FORMS[name]
    everyone = np.random.default_rng(0).permutation(12)
    evaluate = energy_of(form, mode, block_size=block_size)
    actual = evaluate(KERNEL, LABELS, everyone)
    assert_matches_loops(actual, KERNEL, anchors=LABELS, **form)


@each_form
def test_energy_of_drawn_neurons_is_unbiased(form):
    evaluate = energy_of(form, FASTEST)
    drawn = [evaluate(KERNEL, LABELS, others) for others in all_draws(12, 4)]
    mean = Evaluation(
        np.mean([one.value for one in drawn]),
        np.mean([one.gradient for one in drawn], axis=0),
        "float32",
        "float32",
    )
    assert_matches_loops(mean, KERNEL, anchors=LABELS, **form)


@pytest.mark.parametrize("mode", MODES)
def test_gradient_of_one_draw(mode):
    others = np.array([5, 0, 9])
    form = {"half_space": True}
    actual = energy_of(form, mode)(KERNEL, LABELS, others).gradient
    unused = sorted({*range(12)} - {*LABELS.tolist(), *others.tolist()})
    assert not actual[:, unused].any()

    def energy(kernel):
        kernel = kernel.astype("float32")
        return as_float(
            hyperspherical_energy(kernel, anchors=LABELS, others=others, **form)
        )

    np.testing.assert_allclose(
        actual, differences(energy, KERNEL, 1e-3), atol=1e-3
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "need `anchors` and `groups=1`. Received: anchors=None, groups=1"),
        (
            {"anchors": [1], "groups": 2},
            "need `anchors` and `groups=1`. Received: anchors=given, groups=2",
        ),
        ({"anchors": [1], "others": [12]}, r"must be in \[0, 11\]"),
    ],
)
def test_drawn_neurons_that_do_not_go(arguments, message):
    with pytest.raises(ValueError, match=f"`others` {message}"):
        hyperspherical_energy(KERNEL, **{"others": [1, 2], **arguments})

"""Drawn classes: how they are drawn, and sums over them."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import cosines, hyperspherical_energy
from keras_mhe.functional._sampling import (
    MASKED,
    draw_classes,
    sampled_logits,
    target_columns,
)
from support import numpy_reference
from support.gradients import ALL_MODES, MODES, value_and_grad

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(5, 4)).astype("float32")
KERNEL = RNG.normal(size=(4, 12)).astype("float32")
#: Class 7 twice.
LABELS = np.array([7, 0, 7, 11, 3], "int32")
SCALE, MARGIN = 3.0, 0.4


def draws(units, num_drawn, count):
    seed = keras.random.SeedGenerator(1)
    return np.stack(
        [
            ops.convert_to_numpy(draw_classes(units, num_drawn, seed))
            for _ in range(count)
        ]
    )


@pytest.mark.parametrize(
    ("units", "num_drawn"), [(1, 1), (7, 1), (7, 3), (7, 7), (12, 5), (100, 64)]
)
def test_no_class_is_drawn_twice(units, num_drawn):
    for drawn in draws(units, num_drawn, 30):
        assert drawn.dtype.kind == "i"
        assert len(set(drawn.tolist())) == num_drawn
        assert drawn.min() >= 0
        assert drawn.max() < units


def test_every_class_is_drawn_equally_often():
    drawn = draws(11, 4, 1500)
    frequencies = np.bincount(drawn.ravel(), minlength=11) / 1500
    deviation = math.sqrt(4 / 11 * 7 / 11 / 1500)
    np.testing.assert_allclose(frequencies, 4 / 11, atol=5 * deviation)


def test_draws_are_spread_over_all_classes():
    for drawn in draws(100, 64, 5):
        assert np.diff(np.sort(drawn)).max() <= 4
        left_out = np.setdiff1d(np.arange(100), drawn)
        assert np.diff(left_out).max() <= 6


def sampled(drawn):
    return sampled_logits(
        ops.convert_to_tensor(FEATURES),
        ops.convert_to_tensor(KERNEL),
        ops.convert_to_tensor(LABELS),
        ops.convert_to_tensor(np.asarray(drawn, "int32")),
        scale=SCALE,
        margin=lambda cosine: cosine - MARGIN,
    )


def test_labels_out_of_range_are_the_nearest_class(monkeypatch):
    labels = np.array([0, 11, 7, 11, 3], "int32")
    moved = np.array([-1, 12, 7, 20, 3], "int32")
    results = []
    for own in (labels, moved):
        monkeypatch.setitem(globals(), "LABELS", own)
        results.append(ops.convert_to_numpy(sampled([0, 2, 5])))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradient_of_a_short_kernel_whose_columns_repeat(dtype):
    features = RNG.normal(size=(600, 4)).astype("float32")
    features[:, 0] += 2.0

    def loss(kernel, labels, drawn):
        logits = sampled_logits(
            ops.convert_to_tensor(features),
            kernel,
            labels,
            drawn,
            scale=SCALE,
            margin=lambda cosine: cosine - MARGIN,
        )
        return ops.sum(ops.where(logits > MASKED / 2, logits, 0.0))

    kernel = ops.convert_to_numpy(
        ops.cast(ops.cast(ops.convert_to_tensor(KERNEL), dtype), "float32")
    )
    labels = np.full(600, 7, "int32")
    short, expected = (
        value_and_grad(loss, kernel, labels, [1, 2], dtype=computed).gradient
        for computed in (dtype, "float32")
    )
    largest = np.abs(expected).max()
    np.testing.assert_allclose(short, expected, atol=0.01 * largest)


def full_logits():
    """Logits with margin against all classes."""
    logits = SCALE * ops.convert_to_numpy(cosines(FEATURES, KERNEL))
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
    np.testing.assert_allclose(
        ops.convert_to_numpy(sampled(drawn)), expected, rtol=1e-5, atol=1e-5
    )


def test_all_classes_drawn_are_the_whole_softmax():
    losses = cross_entropy(ops.convert_to_numpy(sampled(range(12))))
    logits = full_logits()
    expected = np.log(np.exp(logits).sum(axis=1))
    expected -= logits[np.arange(5), LABELS]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def cross_entropy(logits):
    columns = ops.convert_to_numpy(
        target_columns(
            ops.convert_to_tensor(logits), ops.convert_to_tensor(LABELS)
        )
    )
    own = logits[np.arange(5), columns]
    return np.log(np.exp(logits).sum(axis=1)) - own


def all_draws(units, num_drawn):
    """Draws whose mean over all is the mean over `draw_classes`' draws."""
    begins = np.arange(num_drawn) * units // num_drawn
    return [(begins + first) % units for first in range(units)]


def test_sum_over_classes_is_unbiased():
    sums = [
        np.exp(ops.convert_to_numpy(sampled(drawn))).sum(axis=1)
        for drawn in all_draws(12, 3)
    ]
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
        assert ops.convert_to_numpy(columns).tolist() == expected


# The energy of anchors with drawn neurons.

FORMS = {
    "full": {},
    "half": {"half_space": True},
    "half-epsilon": {"half_space": True, "epsilon": 0.5},
    "angular-log": {"distance": "angular", "power": 0},
}


def evaluate(form, others, mode="eager", **options):
    def energy(kernel, anchors, others):
        return hyperspherical_energy(
            kernel, anchors=anchors, others=others, **form, **options
        )

    return value_and_grad(energy, KERNEL, LABELS, others, mode=mode)


@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize("block_size", [100, 5], ids=["table", "tiles"])
@pytest.mark.parametrize("form", FORMS)
def test_all_neurons_drawn_are_the_anchor_form(form, block_size, mode):
    actual = evaluate(
        FORMS[form], RNG.permutation(12), mode, block_size=block_size
    )
    expected = FORMS[form] | {"anchors": LABELS}
    np.testing.assert_allclose(
        actual.value, numpy_reference.energy(KERNEL, **expected), rtol=1e-5
    )
    gradient = numpy_reference.gradient(KERNEL, **expected)
    np.testing.assert_allclose(
        actual.gradient, gradient, atol=1e-4 * np.abs(gradient).max()
    )


@pytest.mark.parametrize("form", FORMS)
def test_energy_of_drawn_neurons_is_unbiased(form):
    drawn = [evaluate(FORMS[form], others) for others in all_draws(12, 4)]
    expected = FORMS[form] | {"anchors": LABELS}
    np.testing.assert_allclose(
        np.mean([one.value for one in drawn]),
        numpy_reference.energy(KERNEL, **expected),
        rtol=1e-5,
    )
    gradient = numpy_reference.gradient(KERNEL, **expected)
    np.testing.assert_allclose(
        np.mean([one.gradient for one in drawn], axis=0),
        gradient,
        atol=1e-4 * np.abs(gradient).max(),
    )


@pytest.mark.parametrize("mode", MODES)
def test_gradient_of_one_draw(mode):
    others = np.array([5, 0, 9])
    actual = evaluate({"half_space": True}, others, mode)
    unused = sorted(set(range(12)) - set(LABELS.tolist()) - {5, 0, 9})
    assert not actual.gradient[:, unused].any()
    step = 1e-3
    for index in ((0, 7), (1, 5), (3, 0)):
        above, below = KERNEL.copy(), KERNEL.copy()
        above[index] += step
        below[index] -= step
        values = [
            float(
                ops.convert_to_numpy(
                    hyperspherical_energy(
                        x, anchors=LABELS, others=others, half_space=True
                    )
                )
            )
            for x in (above, below)
        ]
        difference = (values[0] - values[1]) / (2.0 * step)
        assert abs(actual.gradient[index] - difference) < 1e-3


@pytest.mark.parametrize(
    ("form", "received"),
    [
        ({}, "anchors=None, groups=1"),
        ({"anchors": [1], "groups": 2}, "anchors=given, groups=2"),
    ],
)
def test_drawn_neurons_need_anchors_and_one_group(form, received):
    message = "`others` need `anchors` and `groups=1`. Received: "
    with pytest.raises(ValueError, match=message + received):
        hyperspherical_energy(KERNEL, others=[1, 2], **form)


def test_drawn_neurons_out_of_range():
    with pytest.raises(ValueError, match=r"`others` must be in \[0, 11\]"):
        hyperspherical_energy(KERNEL, anchors=[1], others=[1, 12])

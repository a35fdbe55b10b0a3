"""Losses against loops, and what every loss of Keras does."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe.layers import SphereFace2
from keras_mhe.losses import OneVsAllCrossentropy, SampledCrossentropy
from support.gradients import MODES, value_and_grad
from support.numpy_reference import differences
from support.tensors import as_array, as_float, random_array

LOGITS = 4.0 * random_array(6, 5)
LABELS = np.array([0, 4, 2, 2, 1, 3])

LOSSES = {
    "one_vs_all": OneVsAllCrossentropy(0.6, 2.5),
    "sampled": SampledCrossentropy(),
}
each_loss = pytest.mark.parametrize("name", LOSSES)


def one_vs_all(logits, label):
    signs = np.where(np.arange(len(logits)) == label, -1.0, 1.0)
    weights = np.where(signs < 0.0, 0.6, 0.4)
    return 2.5 * np.sum(weights * np.log1p(np.exp(signs * logits)))


def softmax(logits, label):
    return np.log(np.sum(np.exp(logits))) - logits[label]


EXPECTED = {"one_vs_all": one_vs_all, "sampled": softmax}


def expected_losses(name, logits=LOGITS):
    rows = zip(logits.astype("float64"), LABELS, strict=True)
    return np.array([EXPECTED[name](row, label) for row, label in rows])


@each_loss
@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None]])
def test_values(name, labels):
    losses = expected_losses(name)
    mean = as_float(LOSSES[name](labels, LOGITS))
    np.testing.assert_allclose(mean, np.mean(losses), rtol=1e-5)
    each = LOSSES[name].call(
        ops.convert_to_tensor(labels), ops.convert_to_tensor(LOGITS)
    )
    np.testing.assert_allclose(as_array(each), losses, rtol=1e-5)


@each_loss
@pytest.mark.parametrize("shape", [(6, 5), (1, 5), (6, 1, 1), ()])
def test_labels_of_another_shape(name, shape):
    labels = np.zeros(shape, "int32")
    message = r"`y_true` must be integer labels of shape \(batch,\)"
    with pytest.raises(ValueError, match=message):
        LOSSES[name].call(labels, LOGITS[: shape[0] if shape else 6])


@each_loss
def test_logits_of_another_shape(name):
    with pytest.raises(ValueError, match=r"Received: y_pred.shape=\(6, 1, 5\)"):
        LOSSES[name](LABELS, LOGITS[:, None])


@pytest.mark.parametrize("mode", MODES)
@each_loss
def test_gradient(name, mode):
    actual = value_and_grad(
        lambda logits, labels: LOSSES[name](labels, logits),
        LOGITS,
        LABELS,
        mode=mode,
    ).gradient
    expected = differences(lambda x: expected_losses(name, x).mean(), LOGITS)
    np.testing.assert_allclose(actual, expected, atol=1e-4)


@each_loss
@pytest.mark.parametrize("size", [300.0, 1e20])
def test_large_logits_are_finite(name, size):
    logits = np.tile([[size, -size, 0.0, 0.0, 0.0]], (6, 1))
    result = value_and_grad(
        lambda logits, labels: LOSSES[name](labels, logits), logits, LABELS
    )
    assert math.isfinite(result.value)
    assert np.isfinite(result.gradient).all()


@each_loss
def test_sample_weights_and_reduction(name):
    loss = type(LOSSES[name]).from_config(
        LOSSES[name].get_config() | {"reduction": "sum"}
    )
    weights = np.array([1.0, 0.0, 2.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(
        as_float(loss(LABELS, LOGITS, sample_weight=weights)),
        np.sum(weights * expected_losses(name)),
        rtol=1e-5,
    )


@each_loss
def test_config_round_trip(name):
    loss = LOSSES[name]
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(loss)
    )
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()


def test_opensphere_first_bias_is_where_both_kinds_weigh_the_same():
    assert math.isfinite(
        SphereFace2(2, 2.0, 400.0, positive_weight=0.5).first_bias()
    )
    for units in (2, 3, 10, 100_000):
        head = SphereFace2(units, scale=16.0)
        similarity = 2.0 * 0.5**3 - 1.0
        own = 16.0 * (similarity - 0.4) + head.first_bias()
        other = 16.0 * (similarity + 0.4) + head.first_bias()
        pull = 0.7 / (1.0 + math.exp(own))
        push = 0.3 * (units - 1) / (1.0 + math.exp(-other))
        assert abs(pull / push - 1.0) < 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positive_weight": 1.0}, "`positive_weight` must be a real number"),
        ({"positive_weight": 0}, "`positive_weight` must be a real number"),
        ({"factor": 0}, "`factor` must be a finite real number > 0"),
    ],
)
def test_argument_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        OneVsAllCrossentropy(**arguments)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@each_loss
def test_short_dtypes_are_computed_in_float32(name, dtype):
    labels = np.array([2999, 257])  # Of two others, rounded to the dtype.
    logits = np.zeros((2, 3000), "float32")
    logits[[0, 1], labels] = 9.0
    expected = as_float(LOSSES[name](labels, logits))
    config = LOSSES[name].get_config() | {"dtype": dtype}
    loss = type(LOSSES[name]).from_config(config)
    assert as_float(loss(labels, logits)) == expected

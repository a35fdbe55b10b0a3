"""What every head owes: values, gradients, configuration, clear errors."""

import inspect
import math
from contextlib import nullcontext

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe import MHE
from keras_mhe import layers as heads
from keras_mhe.layers import (
    AngularMargin,
    ArcFace,
    CosFace,
    SphereFace,
    SphereFace2,
    SphereFaceR,
)
from support.gradients import MODES, replaced, value_and_grad, with_float64
from support.heads import DIM, HEADS, UNITS, expected_logits
from support.numpy_reference import differences
from support.tensors import (
    as_array,
    as_float,
    assert_near,
    dtype_of,
    random_array,
)

each_head = pytest.mark.parametrize("name", HEADS)
all_modes = pytest.mark.parametrize("mode", MODES)
FEATURES = 3.0 * random_array(6, DIM)
LABELS = np.array([0, 4, 2, 2, 1, 3])
#: Makes a scalar of a table of logits.
WEIGHTS = np.linspace(-1.0, 1.0, 6 * UNITS, dtype="float32").reshape(6, UNITS)


def built(name, **options):
    head = HEADS[name](**options)
    head.build((None, DIM))
    return head


def in_training(head, features, labels, kernel):
    """Calls a head with another kernel, and no memory of it."""
    with replaced(head, head.kernel, kernel):
        return head((features, labels), training=True)


def test_every_head_is_tested():
    tested = {type(make()) for make in HEADS.values()}
    public = [getattr(heads, name) for name in heads.__all__]
    assert tested == {
        value
        for value in public
        if isinstance(value, type) and issubclass(value, heads.AngularMargin)
    }


@each_head
def test_plain_logits(name):
    head = built(name)
    expected = expected_logits(head, FEATURES, None)
    for logits in (
        head(FEATURES),
        head((FEATURES, LABELS)),
        head(FEATURES, LABELS, training=False),
    ):
        np.testing.assert_allclose(as_array(logits), expected, atol=1e-4)
    assert as_float(head.step) == 0


@each_head
def test_training_without_labels_warns_once(name):
    head = built(name)
    expected = expected_logits(head, FEATURES, None)
    plain = name == "AngularMargin"  # It has nothing to miss.
    message = "is in training without labels: no margin, no energy"
    with nullcontext() if plain else pytest.warns(UserWarning, match=message):
        logits = head(FEATURES, training=True)
    np.testing.assert_allclose(as_array(logits), expected, atol=1e-4)
    head(FEATURES, training=True)
    assert as_float(head.step) == 0


def test_training_without_labels_misses_an_energy():
    with pytest.warns(UserWarning, match="'plain' is in training without"):
        AngularMargin(5, energy=MHE(), name="plain")(FEATURES, training=True)


@each_head
def test_margin_logits(name):
    head = built(name)
    for step in range(3):
        logits = head((FEATURES, LABELS), training=True)
        expected = expected_logits(head, FEATURES, LABELS, step)
        np.testing.assert_allclose(as_array(logits), expected, atol=1e-4)
        assert as_float(head.step) == step + 1
    # A margin, but for the heads that have none.
    plain = expected_logits(head, FEATURES, None)
    has_margin = name not in {"AngularMargin", "SphereFace-1"}
    assert (np.abs(expected - plain).max() > 0.1) == has_margin


@all_modes
@each_head
@pytest.mark.parametrize("side", ["features", "kernel"])
def test_gradients(side, name, mode):
    head = built(name)
    kernel = as_array(head.kernel)
    is_kernel = side == "kernel"

    def actual(x, labels):
        pair = (FEATURES, x) if is_kernel else (x, kernel)
        features, weights = map(ops.convert_to_tensor, pair)
        logits = in_training(head, features, labels, weights)
        return ops.sum(ops.multiply(logits, WEIGHTS))

    def definition(x):
        features, weights = (FEATURES, x) if is_kernel else (x, kernel)
        logits = expected_logits(head, features, LABELS, kernel=weights)
        return np.sum(logits * WEIGHTS)

    x = kernel if is_kernel else FEATURES
    gradient = value_and_grad(actual, x, LABELS, mode=mode).gradient
    assert_near(gradient, differences(definition, x), 5e-4)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS[:, None],
        LABELS.astype("uint8"),
        LABELS.astype("float32"),
        LABELS.astype("float16")[:, None],
    ],
    ids=["column", "uint8", "float32", "float16"],
)
@pytest.mark.parametrize("form", ["pair", "positional", "keyword"])
def test_forms_of_labels(form, labels):
    head = built("CosFace", energy=MHE())
    logits = {
        "pair": lambda: head([FEATURES, labels], training=True),
        "positional": lambda: head(FEATURES, labels, training=True),
        "keyword": lambda: head(FEATURES, labels=labels, training=True),
    }[form]()
    np.testing.assert_allclose(
        as_array(logits), expected_logits(head, FEATURES, LABELS), atol=1e-4
    )
    expected = as_array(MHE()(head.kernel, anchors=LABELS))
    np.testing.assert_allclose(as_array(head.losses[-1]), expected, rtol=1e-6)


@all_modes
def test_traced_float_labels(mode):
    head = built("CosFace")

    def loss(features, labels):
        labels = ops.cast(labels, "float32")
        logits = in_training(head, features, labels, head.kernel)
        return ops.sum(ops.multiply(logits, WEIGHTS))

    traced = value_and_grad(loss, FEATURES, LABELS, mode=mode).value
    expected = np.sum(expected_logits(head, FEATURES, LABELS) * WEIGHTS)
    np.testing.assert_allclose(traced, expected, rtol=1e-4)


@each_head
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_symbolic_logits_have_the_dtype_of_the_real_ones(name, policy):
    head = HEADS[name](dtype=policy)
    features, labels = keras.Input((DIM,)), keras.Input((), dtype="int32")
    assert head((features, labels)).dtype == "float32"
    assert head(features).shape == (None, UNITS)
    assert head.compute_output_shape((None, DIM)) == (None, UNITS)
    assert head.compute_output_shape([(6, DIM), (6,)]) == (6, UNITS)


def test_one_label_for_each_feature():
    with pytest.raises(ValueError, match="Received: 1 features, 6 labels"):
        built("CosFace")((FEATURES[:1], LABELS), training=True)


# Degenerate input.


@all_modes
@each_head
def test_degenerate_features_give_finite_gradients(name, mode):
    head = built(name)
    kernel = as_array(head.kernel)
    features = np.stack(
        [
            np.zeros(DIM),
            kernel[:, 4],  # Equal to its class vector.
            -kernel[:, 2],  # Opposite to it.
            1e20 * kernel[:, 2],
            1e-30 * kernel[:, 0],
            FEATURES[0],
        ]
    )

    def loss(features, labels):
        logits = in_training(head, features, labels, head.kernel)
        if isinstance(head, SphereFace2):
            return ops.mean(logits)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
            labels, logits
        )

    result = value_and_grad(loss, features, LABELS, mode=mode)
    assert math.isfinite(result.value)
    assert np.isfinite(result.gradient).all()


@each_head
def test_batch_of_one_class(name):
    head = built(name, energy=MHE())
    logits = head((FEATURES, np.full(6, 2)), training=True)
    assert np.isfinite(as_array(logits)).all()
    assert np.isfinite(as_array(head.losses[-1]))


@each_head
def test_features_that_are_not_finite_are_seen(name):
    features = FEATURES.copy()
    features[3, 1] = math.nan
    logits = as_array(built(name)((features, LABELS), training=True))
    assert np.isnan(logits[3]).all()
    assert np.isfinite(np.delete(logits, 3, axis=0)).all()


@each_head
@pytest.mark.parametrize(
    "policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"]
)
def test_logits_keep_float32(name, policy):
    features = FEATURES.astype("float16")
    with with_float64():
        head = HEADS[name](dtype=policy, energy=MHE())
        logits = head((features, LABELS), training=True)
        tensors = [logits, head.losses[-1], *head.trainable_weights]
        expected = "float64" if policy == "float64" else "float32"
        assert {dtype_of(tensor) for tensor in tensors} == {expected}
        np.testing.assert_allclose(
            as_array(logits),
            expected_logits(head, features, LABELS),
            atol=1e-4,
        )


# Configuration.


@each_head
def test_config_round_trip(name):
    head = HEADS[name](
        energy=MHE(2.0, half_space=True),
        energy_start=3,
        energy_warmup=4,
        kernel_initializer="orthogonal",
        kernel_regularizer=MHE(3.0),
        kernel_constraint="unit_norm",
        name="head",
    )
    config = head.get_config()
    again = type(head).from_config(config)
    assert again.get_config() == config
    parameters = set(inspect.signature(type(head)).parameters) - {"kwargs"}
    assert parameters <= set(config)


SCHEDULE = keras.optimizers.schedules.PolynomialDecay(0.0, 10, 1.0)


def test_config_with_a_schedule_and_drawn_classes():
    head = ArcFace(
        5, energy=MHE(), energy_schedule=SCHEDULE, sample_rate=0.5, seed=3
    )
    config = head.get_config()
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(head)
    )
    assert again.get_config() == config
    assert again.energy_schedule(5) == SCHEDULE(5)


# Errors.


@pytest.mark.parametrize("wrong", [-1, UNITS])
@each_head
def test_labels_out_of_range(name, wrong):
    labels = LABELS.copy()
    labels[2] = wrong
    message = rf"`labels` must be in \[0, {UNITS - 1}\].* Received: {wrong}\."
    with pytest.raises(ValueError, match=message):
        built(name)((FEATURES, labels), training=True)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.eye(6, UNITS, dtype="int32"), "`labels` must be integers of shape"),
        (LABELS == 0, "`labels` must be integers of shape .* dtype=bool"),
        (LABELS + 0.5, r"`labels` must be in \[0, 4\].* Received: 0.5"),
        (LABELS * math.nan, r"`labels` must be in \[0, 4\].* Received: nan"),
    ],
)
def test_labels_that_are_no_classes(labels, message):
    with pytest.raises(ValueError, match=message):
        built("ArcFace")((FEATURES, labels), training=True)


def test_float_labels_that_cannot_name_each_class():
    message = (
        "a head with 3000 classes must be .*dtype=float16, exact up to 2048"
    )
    features = keras.Input((DIM,))
    with pytest.raises(ValueError, match=message):
        ArcFace(3000)(features, keras.Input((), dtype="float16"))
    assert ArcFace(2049)(features, keras.Input((), dtype="float16")).shape


@pytest.mark.parametrize("shape", [(None, 4, 3), (None, None), (3,)])
def test_shape_of_features(shape):
    with pytest.raises(ValueError, match=r"must have the shape \(batch, dim\)"):
        AngularMargin(5).build(shape)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([(FEATURES, LABELS, LABELS)], "Received: 3 inputs"),
        ([(FEATURES, LABELS), LABELS], "A head takes labels once"),
        ([{"x": FEATURES, "y": LABELS}], r"Received: a dictionary .*'x', 'y'"),
        (
            [FEATURES[:, None]],
            r"Received: shape=\(6, 1, 3\). Reshape sequences",
        ),
    ],
)
def test_other_inputs(arguments, message):
    for head in (AngularMargin(5), built("AngularMargin")):
        with pytest.raises(ValueError, match=message):
            head(*arguments)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (AngularMargin, {"units": 0}, "`units` must be an integer >= 1"),
        (AngularMargin, {"scale": 0.0}, "`scale` must be a finite real"),
        (AngularMargin, {"energy_start": -1}, "`energy_start` must be an int"),
        (AngularMargin, {"energy_warmup": 0.5}, "`energy_warmup` must be an"),
        (AngularMargin, {"energy": "l2"}, "`energy` must be a `keras_mhe.MHE`"),
        (AngularMargin, {"energy": MHE(neuron_axis=0)}, "`energy` must be a"),
        (AngularMargin, {"energy": MHE(groups=5)}, "and `groups=1`"),
        (AngularMargin, {"energy_schedule": 0.1}, "`energy_schedule` must be"),
        (
            AngularMargin,
            {"energy": MHE(), "energy_schedule": SCHEDULE, "energy_start": 1},
            "`energy_schedule` stands in place",
        ),
        (AngularMargin, {"sample_rate": 0.0}, "`sample_rate` must be a real"),
        (AngularMargin, {"sample_rate": 1.5}, "`sample_rate` must be a real"),
        (CosFace, {"margin": -0.1}, r"`margin` must be a real.* \[0, 2\]"),
        (ArcFace, {"margin": 28.6}, "`margin` must be a real number in"),
        (SphereFace, {"margin": 5}, r"`margin` must be an integer in \[1, 4\]"),
        (SphereFace, {"margin": 1.5}, "`margin` must be an integer"),
        (SphereFace, {"lambda_min": -1}, "`lambda_min` must be a finite real"),
        (SphereFaceR, {"margin": 0.5}, "`margin` must be a real number in"),
        (SphereFaceR, {"feature_norm": "l2"}, "`feature_norm` must be one of"),
        (SphereFace2, {"positive_weight": 1}, "`positive_weight` must be a"),
        (SphereFace2, {"adjustment": 0}, "`adjustment` must be a real"),
        (SphereFace2, {"sample_rate": 0.1}, "`sample_rate` is for heads with"),
        (SphereFace2, {"units": 1}, "`units` must be an integer >= 2"),
        (SphereFace, {"scale": 30.0}, "`SphereFace` has no `scale`"),
    ],
)
def test_argument_out_of_range(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**{"units": 5, **arguments})

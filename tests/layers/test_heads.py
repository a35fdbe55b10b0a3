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
from support.gradients import MODES, value_and_grad
from support.heads import DIM, HEADS, UNITS, expected_logits

each_head = pytest.mark.parametrize("name", HEADS)
all_modes = pytest.mark.parametrize("mode", MODES)
RNG = np.random.default_rng(0)
FEATURES = (3.0 * RNG.normal(size=(6, DIM))).astype("float32")
POLICIES = ["mixed_float16", "mixed_bfloat16", "float16"]
if keras.backend.backend() != "jax":  # It has float64 only if asked for.
    POLICIES.append("float64")
LABELS = np.array([0, 4, 2, 2, 1, 3])


def built(name, **options):
    head = HEADS[name](**options)
    head.build((None, DIM))
    return head


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


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
        np.testing.assert_allclose(numpy(logits), expected, atol=1e-4)
    assert int(numpy(head.step)) == 0


@each_head
def test_training_without_labels_warns_once(name):
    head = built(name)
    expected = expected_logits(head, FEATURES, None)
    plain = name == "AngularMargin"  # It has nothing to miss.
    message = "is in training without labels: no margin, no energy"
    with nullcontext() if plain else pytest.warns(UserWarning, match=message):
        logits = head(FEATURES, training=True)
    np.testing.assert_allclose(numpy(logits), expected, atol=1e-4)
    head(FEATURES, training=True)
    assert int(numpy(head.step)) == 0


def test_training_without_labels_misses_an_energy():
    with pytest.warns(UserWarning, match="'plain' is in training without"):
        AngularMargin(5, energy=MHE(), name="plain")(FEATURES, training=True)


@each_head
def test_margin_logits(name):
    head = built(name)
    for step in range(3):
        logits = head((FEATURES, LABELS), training=True)
        expected = expected_logits(head, FEATURES, LABELS, step)
        np.testing.assert_allclose(numpy(logits), expected, atol=1e-4)
        assert int(numpy(head.step)) == step + 1
    # A margin, but for the heads that have none.
    plain = expected_logits(head, FEATURES, None)
    has_margin = name not in {"AngularMargin", "SphereFace-1"}
    assert (np.abs(expected - plain).max() > 0.1) == has_margin


def weighted_sum(logits):
    weights = np.linspace(-1.0, 1.0, 6 * UNITS).reshape(6, UNITS)
    return ops.sum(logits * ops.convert_to_tensor(weights.astype("float32")))


@all_modes
@each_head
def test_gradients(name, mode):
    head = built(name)
    kernel = numpy(head.kernel)

    def by_features(features, labels):
        return weighted_sum(stateless(head, (features, labels), head.kernel))

    def by_kernel(kernel, labels):
        return weighted_sum(stateless(head, (FEATURES, labels), kernel))

    weights = np.linspace(-1.0, 1.0, 6 * UNITS).reshape(6, UNITS)
    step = 1e-6
    for function, x in ((by_features, FEATURES), (by_kernel, kernel)):
        actual = value_and_grad(function, x, LABELS, mode=mode).gradient
        expected = np.zeros(x.shape)
        for index in np.ndindex(*x.shape):
            values = []
            for change in (step, -step):
                moved = x.astype("float64")
                moved[index] += change
                pair = (moved, kernel) if x is FEATURES else (FEATURES, moved)
                logits = expected_logits(Frozen(head, pair[1]), pair[0], LABELS)
                values.append(np.sum(logits * weights))
            expected[index] = (values[0] - values[1]) / (2.0 * step)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, atol=5e-4 * scale)


def stateless(head, inputs, kernel):
    """Calls a head in training with another kernel, and no memory of it."""
    state = [(variable, variable.value) for variable in head.variables]
    with keras.StatelessScope([*state, (head.kernel, kernel)]):
        return head(inputs, training=True)


def Frozen(head, kernel):  # noqa: N802
    """The head with a float64 kernel, for `expected_logits`."""
    frozen = object.__new__(type(head))
    frozen.__dict__.update(
        {key: value for key, value in head.__dict__.items() if key != "kernel"}
    )
    object.__setattr__(frozen, "kernel", kernel)
    return frozen


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
        numpy(logits), expected_logits(head, FEATURES, LABELS), atol=1e-4
    )
    expected = numpy(MHE()(head.kernel, anchors=LABELS))
    np.testing.assert_allclose(numpy(head.losses[-1]), expected, rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_traced_float_labels(mode):
    head = built("CosFace")

    def loss(features, labels):
        labels = ops.cast(labels, "float32")
        return weighted_sum(stateless(head, (features, labels), head.kernel))

    traced = value_and_grad(loss, FEATURES, LABELS, mode=mode).value
    logits = ops.convert_to_tensor(expected_logits(head, FEATURES, LABELS))
    np.testing.assert_allclose(
        traced, numpy(weighted_sum(ops.cast(logits, "float32"))), rtol=1e-4
    )


@each_head
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_symbolic_logits_have_the_dtype_of_the_real_ones(name, policy):
    head = HEADS[name](dtype=policy)
    features, labels = keras.Input((DIM,)), keras.Input((), dtype="int32")
    assert head((features, labels)).dtype == "float32"
    assert head(features).shape == (None, UNITS)


def test_one_label_for_each_feature():
    with pytest.raises(ValueError, match="Received: 1 features, 6 labels"):
        built("CosFace")((FEATURES[:1], LABELS), training=True)


# Degenerate input.


@all_modes
@each_head
def test_degenerate_features_give_finite_gradients(name, mode):
    head = built(name)
    kernel = numpy(head.kernel)
    features = np.stack(
        [
            np.zeros(DIM),
            kernel[:, 4],  # Equal to its class vector.
            -kernel[:, 2],  # Opposite to it.
            1e20 * kernel[:, 2],
            1e-30 * kernel[:, 0],
            RNG.normal(size=DIM),
        ]
    ).astype("float32")

    def loss(features, labels):
        logits = stateless(head, (features, labels), head.kernel)
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
    assert np.isfinite(numpy(logits)).all()
    assert np.isfinite(numpy(head.losses[-1]))


@each_head
def test_features_that_are_not_finite_are_seen(name):
    features = FEATURES.copy()
    features[3, 1] = math.nan
    logits = numpy(built(name)((features, LABELS), training=True))
    assert np.isnan(logits[3]).all()
    assert np.isfinite(np.delete(logits, 3, axis=0)).all()


@pytest.mark.parametrize("make", [AngularMargin, CosFace, ArcFace, SphereFaceR])
def test_many_classes(make):
    head = make(100_000)
    logits = numpy(head((FEATURES, LABELS), training=True))
    assert logits.shape == (6, 100_000)
    assert np.isfinite(logits).all()


@each_head
@pytest.mark.parametrize("policy", POLICIES)
def test_logits_keep_float32(name, policy):
    head = HEADS[name](dtype=policy, energy=MHE())
    features = ops.cast(ops.convert_to_tensor(FEATURES), "float16")
    logits = head((features, LABELS), training=True)
    expected = "float64" if policy == "float64" else "float32"
    assert keras.backend.standardize_dtype(logits.dtype) == expected
    np.testing.assert_allclose(
        numpy(logits),
        expected_logits(head, FEATURES.astype("float16"), LABELS),
        atol=1e-4,
    )
    assert keras.backend.standardize_dtype(head.losses[-1].dtype) == expected
    assert {weight.dtype for weight in head.trainable_weights} == {expected}


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


def test_config_with_a_schedule_and_drawn_classes():
    schedule = keras.optimizers.schedules.PolynomialDecay(0.0, 10, 1.0)
    head = ArcFace(
        5, energy=MHE(), energy_schedule=schedule, sample_rate=0.5, seed=3
    )
    config = head.get_config()
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(head)
    )
    assert again.get_config() == config
    assert again.energy_schedule(5) == schedule(5)


# Errors.


@pytest.mark.parametrize("wrong", [-1, UNITS, 10**6])
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
        (AngularMargin, {"scale": math.inf}, "`scale` must be a finite real"),
        (AngularMargin, {"energy_start": -1}, "`energy_start` must be an int"),
        (AngularMargin, {"energy_warmup": 0.5}, "`energy_warmup` must be an"),
        (AngularMargin, {"energy": "l2"}, "`energy` must be a `keras_mhe.MHE`"),
        (AngularMargin, {"energy": MHE(neuron_axis=0)}, "`energy` must be a"),
        (AngularMargin, {"energy": MHE(groups=5)}, "and `groups=1`"),
        (AngularMargin, {"energy_schedule": 0.1}, "`energy_schedule` must be"),
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
        (SphereFace2, {"units": 0}, "`units` must be an integer >= 2"),
        (SphereFace, {"scale": 30.0}, "`SphereFace` has no `scale`"),
    ],
)
def test_argument_out_of_range(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**{"units": 5, **arguments})


def test_schedule_in_place_of_a_start():
    schedule = keras.optimizers.schedules.PolynomialDecay(0.0, 10, 1.0)
    with pytest.raises(ValueError, match="`energy_schedule` stands in place"):
        AngularMargin(5, energy=MHE(), energy_schedule=schedule, energy_start=1)

"""The energy of features as a metric of Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe.metrics import FeatureEnergy
from support import numpy_reference
from support.tensors import as_float

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(10, 4)).astype("float32")
FORMS = [
    {},
    {"power": 0, "half_space": True},
    {"power": 1, "distance": "angular"},
]


def batch_energy(features, **form):
    return numpy_reference.energy(features, neuron_axis=0, **form)


@pytest.mark.parametrize("form", FORMS)
def test_batches_count_by_their_pairs(form):
    metric = FeatureEnergy(**form)
    metric.update_state(None, FEATURES[:6])
    metric.update_state(None, FEATURES[6:])
    first, second = (66, 28) if "half_space" in form else (15, 6)
    expected = (
        first * batch_energy(FEATURES[:6], **form)
        + second * batch_energy(FEATURES[6:], **form)
    ) / (first + second)
    np.testing.assert_allclose(as_float(metric.result()), expected, rtol=1e-5)
    metric.reset_state()
    metric.update_state(None, FEATURES[:6])
    np.testing.assert_allclose(
        as_float(metric.result()),
        batch_energy(FEATURES[:6], **form),
        rtol=1e-5,
    )


def test_features_that_are_not_finite_are_seen():
    metric = FeatureEnergy()
    metric.update_state(None, np.array([[np.nan, 1.0], [1.0, 0.0]], "float32"))
    assert np.isnan(as_float(metric.result()))


@pytest.mark.parametrize("half_space", [False, True])
def test_padding_is_left_out(half_space):
    padded = FEATURES.copy()
    padded[[2, 5, 9]] = 0.0
    weights = np.array([1.0, 3.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.5, 0.0])
    masked = ops.convert_to_tensor(FEATURES)
    masked._keras_mask = ops.convert_to_tensor(weights > 0.0)
    living = FEATURES[weights > 0.0]
    others = -FEATURES[:4]
    values = [batch_energy(x, half_space=half_space) for x in (living, others)]
    pairs = (91, 28) if half_space else (21, 6)
    for features, sample_weight in (
        (padded, None),
        (FEATURES, weights),
        (FEATURES, weights[:, None]),
        (masked, None),
    ):
        metric = FeatureEnergy(half_space=half_space)
        metric.update_state(None, features, sample_weight)
        metric.update_state(None, others)
        np.testing.assert_allclose(
            as_float(metric.result()),
            np.average(values, weights=pairs),
            rtol=1e-5,
        )


# The compiled step of JAX hands over features without their mask.
@pytest.mark.parametrize(
    "eager", [True] if keras.backend.backend() == "jax" else [False, True]
)
def test_sequences_with_a_mask(eager):
    words = np.array([[3, 1, 2], [4, 0, 0], [6, 5, 0]])
    model = keras.Sequential(
        [
            keras.Input((None,)),
            keras.layers.Embedding(7, 4, mask_zero=True),
            keras.layers.Dense(3),
        ]
    )
    model.compile(
        "sgd",
        "mse",
        metrics=[FeatureEnergy()],
        weighted_metrics=[FeatureEnergy(name="weighted")],
        run_eagerly=eager,
    )
    features = model.predict(words, verbose=0)
    logs = model.evaluate(
        words,
        np.zeros((3, 3, 3)),
        sample_weight=np.repeat([[1.0], [1.0], [0.0]], 3, axis=1),
        verbose=0,
        return_dict=True,
    )
    for name, rows in (("feature_energy", 3), ("weighted", 2)):
        is_counted = words[:rows] > 0
        expected = batch_energy(features[:rows][is_counted])
        np.testing.assert_allclose(logs[name], expected, rtol=1e-3)


@pytest.mark.parametrize("half_space", [False, True])
def test_one_feature_has_no_pair(half_space):
    metric = FeatureEnergy(half_space=half_space)
    metric.update_state(None, FEATURES[:1])
    assert as_float(metric.result()) == 0.0


@pytest.mark.parametrize("eager", [False, True])
def test_in_a_model(eager):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse", metrics=[FeatureEnergy()], run_eagerly=eager)
    targets = np.zeros((10, 3))
    logs = model.fit(FEATURES, targets, batch_size=6, verbose=0).history
    assert np.isfinite(logs["feature_energy"]).all()
    value = model.evaluate(
        FEATURES, targets, batch_size=10, verbose=0, return_dict=True
    )["feature_energy"]
    outputs = model.predict(FEATURES, verbose=0)
    # Outputs may be so close that their cosines have few digits.
    np.testing.assert_allclose(value, batch_energy(outputs), rtol=2e-3)


def test_config_round_trip():
    metric = FeatureEnergy(0, "angular", True, name="spread")
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert type(again) is FeatureEnergy
    assert again.get_config() == metric.get_config()


def test_errors():
    with pytest.raises(ValueError, match=r"Received: y_pred.shape=\(10,\)"):
        FeatureEnergy().update_state(None, FEATURES[:, 0])
    with pytest.raises(ValueError, match="`power` must be a finite real"):
        FeatureEnergy(power=-1)
    with pytest.raises(ValueError, match="`half_space` must be True or False"):
        FeatureEnergy(half_space="yes")

"""`MHE(units="gap")` wherever an energy is a term of the loss."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_mhe
from keras_mhe import MHE, regularize
from keras_mhe.layers import ArcFace
from keras_mhe.ops import hyperspherical_gap
from keras_mhe.regularizers import CompressiveMHE, Uniformity
from support.tensors import as_float, total
from support.ways import COMPILED_WAYS

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(16, 12)).astype("float32")
TARGETS = np.zeros((16, 3), "float32")


def narrow_and_wide(**options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(300, name="wide"),
            layers.Dense(3, name="narrow"),
        ]
    )
    # What is reported and trained is the regularizers' alone.
    model.compile(
        keras.optimizers.SGD(0.02), "mse", loss_weights=[0.0], **options
    )
    return model


@pytest.mark.parametrize("way", COMPILED_WAYS)
def test_in_training(way):
    model = narrow_and_wide(**COMPILED_WAYS[way])
    regularize(model, MHE(0.5, half_space=True, units="gap"))
    gaps = keras_mhe.audit(model, half_space=True)
    expected = 0.5 * sum(row.gap for row in gaps)
    losses = model.fit(
        INPUTS, TARGETS, epochs=30, batch_size=16, verbose=0
    ).history["loss"]
    assert losses[0] == pytest.approx(expected, rel=1e-4)
    assert 0.0 < losses[-1] < 0.8 * losses[0]
    model.evaluate(INPUTS, TARGETS, verbose=0)


def test_neurons_of_few_entries_keep_the_energy():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(5), layers.Dense(4)]
    )
    gaps = CompressiveMHE(dim=3, units="gap") + Uniformity(units="gap")
    rows = regularize(model, gaps)
    expected = "CompressiveMHE(1, half) + Uniformity(1, gap)"
    assert [row.regularizer for row in rows] == [expected, expected]
    rows = regularize(model, MHE(1.0, units="gap"))
    assert [row.regularizer for row in rows] == ["MHE(1)", "MHE(1, gap)"]
    note = "energy: neurons of 3 entries have no gap at this power"
    replaced = f"replaced {expected}"
    assert [row.note for row in rows] == [f"{replaced}; {note}", replaced]
    (first, second) = model.layers
    assert total(model.losses) == pytest.approx(
        as_float(MHE(1.0)(first.kernel))
        + as_float(hyperspherical_gap(second.kernel)),
        rel=1e-5,
    )


def test_classes_of_a_batch():
    labels = np.array([1, 4, 4], "int32")
    head = ArcFace(6, energy=MHE(2.0, units="gap"))
    head((INPUTS[:3], labels), training=True)
    expected = 2.0 * hyperspherical_gap(head.kernel, anchors=labels)
    assert total(head.losses) == pytest.approx(as_float(expected), rel=1e-5)


@pytest.mark.parametrize("way", COMPILED_WAYS)
def test_features(way):
    regularizer = MHE(1.0, neuron_axis=0, units="gap")
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(8, activity_regularizer=regularizer),
        ]
    )
    model.compile("sgd", "mse", loss_weights=[0.0], **COMPILED_WAYS[way])
    features = model.predict(INPUTS, verbose=0)
    expected = as_float(hyperspherical_gap(features, neuron_axis=0)) / 16
    found = model.evaluate(INPUTS, 0.0 * features, batch_size=16, verbose=0)
    assert found == pytest.approx(expected, rel=1e-4)

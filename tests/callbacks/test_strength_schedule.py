"""`StrengthSchedule`: the loss of each epoch has that epoch's strength."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_mhe
from keras_mhe import MHE
from keras_mhe.callbacks import StrengthSchedule
from keras_mhe.regularizers._scheduled import ScheduledRegularizer
from support.float_dtypes import L2, REGULARIZERS
from support.tensors import as_float, total
from support.ways import COMPILED_WAYS

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(8, 6)).astype("float32")
TARGETS = RNG.normal(size=(8, 3)).astype("float32")
FACTORS = [0.0, 0.5, 0.5, 2.0]


def model_of(hidden, classes=None, way="default"):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, kernel_regularizer=hidden),
            layers.Dense(3, kernel_regularizer=classes),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.0),
        "mse",
        loss_weights=[0.0],
        **COMPILED_WAYS[way],
    )
    return model


def fit(model, schedule=FACTORS.__getitem__, epochs=4, **options):
    return model.fit(
        INPUTS,
        TARGETS,
        epochs=epochs,
        verbose=0,
        callbacks=[StrengthSchedule(schedule)],
        **options,
    ).history


@pytest.mark.parametrize("way", COMPILED_WAYS)
def test_losses_of_epochs(way):
    model = model_of(MHE(1.0), MHE(10.0) + keras.regularizers.L2(0.1), way)
    decay = as_float(keras.regularizers.L2(0.1)(model.layers[1].kernel))
    energies = total(model.losses) - decay
    history = fit(model, validation_data=(INPUTS, TARGETS))
    expected = [decay + factor * energies for factor in FACTORS]
    assert history["loss"] == pytest.approx(expected, rel=1e-5)
    assert history["val_loss"] == pytest.approx(expected, rel=1e-5)
    assert history["strength_factor"] == FACTORS
    # The end sets it back.
    assert model.evaluate(INPUTS, TARGETS, verbose=0) == pytest.approx(
        decay + energies, rel=1e-5
    )


@pytest.mark.parametrize("name", REGULARIZERS)
def test_every_regularizer(name):
    term = REGULARIZERS[name]
    weights = RNG.normal(size=(6, 5)).astype("float32")
    scheduled = ScheduledRegularizer(term)
    scheduled.factor = 0.25
    has_decay = name in {"AddedRegularizer", "RegularizerSum"}
    decay = as_float(L2(weights)) if has_decay else 0.0
    expected = decay + 0.25 * (as_float(term(weights)) - decay)
    assert as_float(scheduled(weights)) == pytest.approx(expected, rel=1e-5)


def test_resumed_training_has_the_same_factors():
    schedule = keras.optimizers.schedules.CosineDecay(1.0, 4)
    history = fit(model_of(MHE(1.0)), schedule, initial_epoch=2)
    assert history["strength_factor"] == pytest.approx(
        [0.5, 0.146447], rel=1e-5
    )


def test_shared_regularizer_is_multiplied_once():
    term = MHE(1.0)
    model = model_of(term, term)
    energies = total(model.losses)
    history = fit(model, epochs=2)
    expected = [factor * energies for factor in FACTORS[:2]]
    assert history["loss"] == pytest.approx(expected, rel=1e-5)


def test_saved_models_hold_the_strength_without_it(tmp_path):
    model = model_of(MHE(3.0))
    path = tmp_path / "model.keras"
    energy = total(model.losses)
    model.fit(
        INPUTS,
        TARGETS,
        verbose=0,
        callbacks=[
            StrengthSchedule(lambda epoch: 0.5),
            keras.callbacks.ModelCheckpoint(path),
        ],
    )
    loaded = keras.models.load_model(path)
    assert total(loaded.losses) == pytest.approx(energy, rel=1e-5)


def test_regularizer_of_two_models():
    term = MHE(1.0)
    model, other = model_of(term), model_of(term)
    energy = total(other.losses)
    seen = []

    def look(epoch, logs):
        seen.append(other.evaluate(INPUTS, TARGETS, verbose=0))

    model.fit(
        INPUTS,
        TARGETS,
        verbose=0,
        callbacks=[
            StrengthSchedule(lambda epoch: 0.5),
            keras.callbacks.LambdaCallback(on_epoch_end=look),
        ],
    )
    assert seen == pytest.approx([energy], rel=1e-5)
    kernel = model.layers[0].kernel
    assert kernel.regularizer is term
    # Neither does a training that fails change it.
    with pytest.raises(ValueError, match="finite"):
        fit(model, lambda epoch: 0.5 if epoch == 0 else float("nan"))
    assert total(other.losses) == pytest.approx(energy, rel=1e-5)
    assert total(model.losses) == pytest.approx(0.5 * energy, rel=1e-5)
    history = fit(model, lambda epoch: 1.0, epochs=1)
    assert history["loss"] == pytest.approx([energy], rel=1e-5)
    assert kernel.regularizer is term


def test_regularize_after_a_training_that_failed():
    model = model_of("l2")
    decay = total(model.losses)
    keras_mhe.regularize(model, MHE(1.0))
    energies = total(model.losses) - decay
    with pytest.raises(ValueError, match="finite"):
        fit(model, lambda epoch: 0.5 if epoch == 0 else float("nan"))
    rows = keras_mhe.regularize(model, MHE(3.0))
    assert [row.regularizer for row in rows] == ["L2 + MHE(3)", "MHE(3)"]
    assert total(model.losses) == pytest.approx(decay + 3.0 * energies)


def test_compiles_only_when_the_factor_changes(monkeypatch):
    model = model_of(MHE(1.0))
    calls = []
    make = model.make_train_function

    def counted(force=False):
        calls.append(force)
        return make(force=force)

    monkeypatch.setattr(model, "make_train_function", counted)
    fit(model)
    # To 0, 0.5 and 2, and back to 1.
    assert calls.count(True) == 4


@pytest.mark.parametrize("factor", [-1.0, float("nan"), "1", None])
def test_factors_out_of_range(factor):
    with pytest.raises(ValueError, match=r"`schedule\(0\)` must be a finite"):
        fit(model_of(MHE(1.0)), lambda epoch: factor)


def test_nothing_to_call_and_nothing_to_multiply():
    with pytest.raises(ValueError, match="`schedule` must be a callable"):
        StrengthSchedule(0.5)
    with pytest.raises(ValueError, match="StrengthSchedule needs a trainable"):
        fit(model_of("l2"))

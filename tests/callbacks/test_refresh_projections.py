"""`RefreshProjections`: the loss of each epoch is that of its projections."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mhe import MHE
from keras_mhe.callbacks import RefreshProjections
from keras_mhe.ops import compressive_energy
from keras_mhe.regularizers import CompressiveMHE
from support.tensors import as_float
from support.ways import WAYS

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(8, 12)).astype("float32")
TARGETS = np.zeros((8, 5), "float32")


def model_of(*regularizers):
    keras.utils.set_random_seed(0)
    stack = [
        layers.Dense(5 if k == len(regularizers) - 1 else 12,
                     kernel_regularizer=term)
        for k, term in enumerate(regularizers)
    ]  # fmt: skip
    return keras.Sequential([keras.Input((12,)), *stack])


def fit(model, way="default", every=1, **options):
    # Without a rate the weights stay, and the loss has nothing but the term.
    model.compile(
        keras.optimizers.SGD(0.0), loss_weights=[0.0], loss="mse", **WAYS[way]
    )
    return model.fit(
        INPUTS, TARGETS, verbose=0, callbacks=[RefreshProjections(every)],
        **options,
    ).history  # fmt: skip


def expected(model, draws, **options):
    kernel = model.layers[-1].kernel
    return [
        as_float(compressive_energy(kernel, draw=draw, **options))
        for draw in draws
    ]


@pytest.mark.parametrize("way", WAYS)
def test_every_epoch_has_its_projections(way):
    options = {"dim": 3, "num_projections": 2, "seed": 5}
    term = CompressiveMHE(1.0, **options)
    model = model_of(term)
    history = fit(
        model, way, epochs=3, validation_data=(INPUTS, TARGETS)
    )  # fmt: skip
    losses = expected(model, (0, 1, 2), **options)
    assert len({round(loss, 3) for loss in losses}) == 3
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-4)
    np.testing.assert_allclose(history["val_loss"], losses, rtol=1e-4)
    assert term.draw == 2


def test_a_saved_model_goes_on_with_its_epochs(tmp_path):
    options = {"dim": 3, "num_projections": 2, "seed": 5}
    model = model_of(CompressiveMHE(1.0, **options))
    # Two epochs share their projections.
    history = fit(model, every=2, epochs=3)
    losses = expected(model, (0, 0, 1), **options)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-4)
    model.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    history = fit(resumed, every=2, epochs=5, initial_epoch=3)
    losses = expected(model, (1, 2), **options)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-4)


def test_all_regularizers_of_each_model_are_found():
    callback = RefreshProjections()
    for _ in range(2):
        shared = CompressiveMHE(1.0, dim=3)
        summed = CompressiveMHE(1.0, dim=3, draw=10)
        model = model_of(shared, shared, summed + MHE(1.0))
        model.compile("sgd", "mse")
        model.fit(INPUTS, TARGETS, epochs=2, verbose=0, callbacks=[callback])
        assert (shared.draw, summed.draw) == (1, 1)


def test_model_without_projections():
    frozen = model_of(CompressiveMHE(1.0, dim=3), MHE(1.0))
    frozen.layers[0].trainable = False
    for model in (model_of(MHE(1.0)), frozen):
        with pytest.raises(ValueError, match="needs a trainable weight with"):
            fit(model, epochs=1)


@pytest.mark.parametrize("every", [0, 1.5, True])
def test_wrong_arguments(every):
    with pytest.raises(ValueError, match="`every` must be an integer >= 1"):
        RefreshProjections(every)

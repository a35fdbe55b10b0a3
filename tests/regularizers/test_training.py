"""`fit` with `MHE`: compiled or not, and in every precision."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mhe import MHE
from keras_mhe.regularizers import RegularizerSum
from support.tensors import (
    assert_same_weights,
    dtype_of,
    random_array,
    weights_of,
)
from support.ways import COMPILED_WAYS, EAGER

IMAGES = random_array(32, 6, 6, 2)
LABELS = np.random.default_rng(0).integers(0, 3, 32)


def model_of(policy="float32", activity_regularizer=None):
    keras.utils.set_random_seed(7)
    convolution = layers.Conv2D(
        6,
        3,
        activation="relu",
        kernel_regularizer=MHE(1.0, half_space=True),
        activity_regularizer=activity_regularizer,
        dtype=policy,
    )
    classes = layers.Dense(
        3,
        kernel_regularizer=MHE(1.0, power=0) + keras.regularizers.L2(1e-3),
        dtype=policy,
    )
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            convolution,
            layers.Flatten(dtype=policy),
            classes,
        ]
    )


def trained(model, rate=0.1, epochs=2, **options):
    """Trains with batches of 12, 12 and 8; returns the history."""
    model.compile(
        keras.optimizers.SGD(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **options,
    )
    history = model.fit(
        IMAGES,
        LABELS,
        batch_size=12,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        validation_data=(IMAGES[:8], LABELS[:8]),
    ).history
    assert np.isfinite(history["loss"] + history["val_loss"]).all()
    assert history["loss"][-1] < history["loss"][0]
    for weights in weights_of(model):
        assert np.isfinite(weights).all()
    return history


@pytest.mark.parametrize(
    "way",
    [
        {},
        # On PyTorch this runs torch.compile, for half a minute.
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_way_gives_the_same_weights(way):
    model, eager = model_of(), model_of()
    trained(model, **way)
    trained(eager, **EAGER)
    assert_same_weights(model, eager, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("way", COMPILED_WAYS)
def test_mixed_precision(policy, way):
    model = model_of(policy)
    trained(model, **COMPILED_WAYS[way])
    assert {dtype_of(loss) for loss in model.losses} == {"float32"}


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_with_an_activity_regularizer(policy):
    short = model_of(policy, keras.regularizers.L2(1e-3))
    if keras.backend.backend() == "tensorflow":
        # Keras adds the activity's float16 loss to the weights' float32 ones,
        # which TensorFlow refuses, whatever the weights' regularizer.
        with pytest.raises(TypeError, match=r"float16.* to .*float32"):
            trained(short)
    else:
        trained(short)
    # A sum is float32 whatever its terms, so it works everywhere.
    activity = RegularizerSum([keras.regularizers.L2(1e-3), "l1"])
    trained(model_of(policy, activity))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_pure_short_weights(dtype):
    model = model_of(dtype)
    trained(model, rate=0.01, epochs=3)
    assert model.layers[0].kernel.dtype == dtype

"""Relatives of `MHE` as regularizers: in layers, training, saved, summed."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe import ops as mhe_ops
from keras_mhe.regularizers import (
    CompressiveMHE,
    Covering,
    GramDeterminant,
    KoLeo,
    MinimalAngles,
    Polarization,
    Separation,
    Uniformity,
)
from support import numpy_relatives as numpy_forms
from support.tensors import as_float, dtype_of
from support.ways import WAYS

RNG = np.random.default_rng(0)
#: Projected to 3 dimensions, some pairs are so near that float32 holds three
#: digits of their energy of power 2, but all of its logarithm.
#: Class, its own arguments, the function, and the sign of its term.
RELATIVES = {
    "CompressiveMHE": (
        CompressiveMHE,
        {"dim": 3, "num_projections": 3, "power": 1, "seed": 3, "draw": 1},
        mhe_ops.compressive_energy,
        1,
    ),
    "adversarial": (
        CompressiveMHE,
        {
            "projection": "adversarial",
            "dim": 3,
            "num_projections": 4,
            "steps": 2,
            "rate": 0.05,
            "power": 0,
        },
        mhe_ops.compressive_energy,
        1,
    ),
    "angle_preserving": (
        CompressiveMHE,
        {
            "projection": "angle_preserving",
            "dim": 3,
            "num_projections": 4,
            "distance": "angular",
            "power": 0,
        },
        mhe_ops.compressive_energy,
        1,
    ),
    "Separation": (Separation, {}, mhe_ops.separation, -1),
    "one pair": (
        Separation,
        {"per_neuron": False},
        mhe_ops.separation,
        -1,
    ),
    "MinimalAngles": (
        MinimalAngles,
        {"block_size": 3},
        mhe_ops.minimal_angles,
        -1,
    ),
    "KoLeo": (KoLeo, {}, mhe_ops.koleo, 1),
    "GramDeterminant": (
        GramDeterminant,
        {"precision": 2.0, "epsilon": 1e-4},
        mhe_ops.gram_log_determinant,
        -1,
    ),
    "Uniformity": (
        Uniformity,
        {"precision": 3.0, "block_size": 3, "units": "gap"},
        mhe_ops.uniformity,
        1,
    ),
    "Polarization": (
        Polarization,
        {"power": 1, "distance": "angular", "starts": 4, "steps": 5},
        mhe_ops.polarization,
        -1,
    ),
    "Covering": (
        Covering,
        {"precision": 5.0, "starts": 4, "steps": 5},
        mhe_ops.covering,
        1,
    ),
}
each_relative = pytest.mark.parametrize("name", RELATIVES)


def relative(name, strength=1.0, **which):
    make, own, _, _ = RELATIVES[name]
    return make(strength, **own, **which)


def term_of(name, kernel, **which):
    _, own, function, sign = RELATIVES[name]
    return sign * as_float(function(kernel, **own, **which))


def model_of(regularizer, policy="float32"):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(
                10, kernel_regularizer=regularizer, dtype=policy, name="hidden"
            ),
            layers.Dense(2, dtype=policy),
        ]
    )


@each_relative
@pytest.mark.parametrize(
    ("way", "policy"),
    [
        *((way, "float32") for way in WAYS),
        ("default", "mixed_float16"),
        ("default", "mixed_bfloat16"),
    ],
)
def test_training_lowers_the_term(name, way, policy):
    model = model_of(relative(name), policy)
    before = term_of(name, model.layers[0].kernel)
    assert dtype_of(model.losses[0]) == "float32"
    model.compile(
        keras.optimizers.SGD(5e-3), "mse", loss_weights=[0.0], **WAYS[way]
    )
    x, y = np.ones((2, 6)), np.ones((2, 2))
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[0] == pytest.approx(before, rel=1e-5, abs=1e-5)
    after = term_of(name, model.layers[0].kernel)
    assert after < before - 1e-3 * abs(before)
    assert np.isfinite(losses).all()


@each_relative
@pytest.mark.parametrize(
    "which", [{}, {"half_space": True, "neuron_axis": (0, 2), "groups": 3}]
)
def test_configuration(name, which):
    regularizer = relative(name, 0.25, **which)
    config = regularizer.get_config()
    make, own, _, _ = RELATIVES[name]
    assert config.items() >= own.items()
    serialized = keras.saving.serialize_keras_object(regularizer)
    assert serialized["registered_name"] == f"keras_mhe>{make.__name__}"
    restored = keras.regularizers.get(json.loads(json.dumps(serialized)))
    assert isinstance(restored, make)
    assert restored.get_config() == config
    kernel = RNG.normal(size=(3, 4, 6)).astype("float32")
    assert as_float(restored(kernel)) == as_float(regularizer(kernel))
    assert as_float(restored(kernel)) == pytest.approx(
        0.25 * term_of(name, kernel, **which), rel=1e-6
    )


def test_saved_models(tmp_path):
    model = keras.Sequential([keras.Input((6,))])
    for name in RELATIVES:
        term = relative(name, 0.5, half_space=True)
        model.add(layers.Dense(6, kernel_regularizer=term))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one, other in zip(model.layers, loaded.layers, strict=True):
        terms = one.kernel_regularizer, other.kernel_regularizer
        assert type(terms[0]) is type(terms[1])
        assert terms[0].get_config() == terms[1].get_config()
    losses = ([as_float(x) for x in one.losses] for one in (model, loaded))
    assert next(losses) == next(losses)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("kind", "reference"),
    [(Uniformity, numpy_forms.uniformity), (KoLeo, numpy_forms.koleo)],
)
def test_features_of_a_batch(kind, reference, way):
    # The losses of their papers: rows of a batch, as an activity regularizer.
    keras.utils.set_random_seed(0)
    regularizer = kind(12.0, neuron_axis=0)
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, activity_regularizer=regularizer)]
    )
    model.compile(
        keras.optimizers.SGD(0.02), "mse", loss_weights=[0.0], **WAYS[way]
    )
    inputs = 1.0 + 0.3 * RNG.normal(size=(12, 4)).astype("float32")
    targets = np.zeros((12, 3))
    options = {"batch_size": 12, "verbose": 0}

    def loss():
        rows = ops.convert_to_numpy(model(inputs)).astype("float64")
        return reference(rows, neuron_axis=0)

    before = loss()
    losses = model.fit(inputs, targets, epochs=60, **options).history["loss"]
    # Keras divides the terms of activities by the size of the batch.
    assert losses[0] == pytest.approx(before, rel=1e-4)
    assert loss() < before - 0.2


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (Separation, {"strength": -1.0}, "`strength` must be a finite real"),
        (KoLeo, {"block_size": 0}, "`block_size` must be 'auto' or an int"),
        (CompressiveMHE, {"units": "gaps"}, "`units` must be one of"),
        (Uniformity, {"precision": 21}, "`precision` must be a real number in"),
        (Polarization, {"starts": 0}, "`starts` must be an integer >= 1"),
        (Polarization, {"distance": "cos"}, "`distance` must be"),
        (Covering, {"steps": -1}, "`steps` must be an integer >= 0"),
        (CompressiveMHE, {"num_projections": 0}, "`num_projections` must be"),
        (CompressiveMHE, {"projection": "pca"}, "`projection` must be one"),
    ],
)
def test_wrong_arguments(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)

"""Trains with every public class under a process-wide float dtype.

Run as `python -m support.float_dtypes float64` with `JAX_ENABLE_X64=1` where
the backend has float64 only then.
"""

import sys

import keras
import numpy as np
from keras import layers

from keras_mhe import MHE, constraints, losses, metrics, regularizers
from keras_mhe import layers as ours
from keras_mhe.initializers import MinimumEnergy

UNITS = 5
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(8, 6))
LABELS = np.arange(8) % UNITS

L2 = keras.regularizers.L2(1e-3)
REGULARIZERS = {
    "AddedRegularizer": regularizers.AddedRegularizer(L2, MHE()),
    "CompressiveMHE": regularizers.CompressiveMHE(dim=3),
    "Covering": regularizers.Covering(),
    "GramDeterminant": regularizers.GramDeterminant(),
    "KoLeo": regularizers.KoLeo(block_size=3),
    "MHE": MHE(half_space=True),
    "MinimalAngles": regularizers.MinimalAngles(),
    "Polarization": regularizers.Polarization(),
    "PublishedGANMHE": MHE.from_reference("gan"),
    "PublishedMHE": MHE.from_reference("mhe", "a2"),
    "RegularizerSum": MHE(power=0) + L2,
    "Separation": regularizers.Separation(),
    "Uniformity": regularizers.Uniformity(),
}
CONSTRAINTS = {
    "EnergyDescent": constraints.EnergyDescent(),
    "MaxEnergy": constraints.MaxEnergy(gap=0.5),
    "SpectralNorm": constraints.SpectralNorm(0.5, mode="clip"),
    "UnitSphere": constraints.UnitSphere(),
}
HEADS = {
    "AngularMargin": lambda **kw: ours.AngularMargin(UNITS, **kw),
    "ArcFace": lambda **kw: ours.ArcFace(
        UNITS, sample_rate=0.5, energy=MHE(), **kw
    ),
    "CosFace": lambda **kw: ours.CosFace(UNITS, kernel_regularizer=MHE(), **kw),
    "SphereFace": lambda **kw: ours.SphereFace(UNITS, energy=MHE(), **kw),
    "SphereFace2": lambda **kw: ours.SphereFace2(UNITS, **kw),
    "SphereFaceR": lambda **kw: ours.SphereFaceR(
        UNITS, feature_norm="soft", **kw
    ),
}


def model():
    """One model with all of them."""
    inputs = keras.Input((6,))
    labels = keras.Input((), dtype="int32")
    x = inputs
    for regularizer in REGULARIZERS.values():
        x = layers.Dense(6, "tanh", kernel_regularizer=regularizer)(x)
    for constraint in CONSTRAINTS.values():
        x = layers.Dense(6, "tanh", kernel_constraint=constraint)(x)
    x = layers.Dense(6, "tanh", kernel_initializer=MinimumEnergy(steps=2))(x)
    x = ours.SpectralNormalization(layers.Dense(6))(x)
    outputs = {name: head(name=name)(x, labels) for name, head in HEADS.items()}
    outputs["features"] = layers.Activation("linear", name="features")(x)
    softmax = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    result = keras.Model([inputs, labels], outputs)
    result.compile(
        keras.optimizers.SGD(1e-3),
        {
            **dict.fromkeys(HEADS, softmax),
            "ArcFace": losses.SampledCrossentropy(),
            "SphereFace2": losses.OneVsAllCrossentropy(),
        },
        weighted_metrics={"features": metrics.FeatureEnergy()},
    )
    return result


def train():
    """Trains two steps; returns the model and its logs."""
    trained = model()
    targets = dict.fromkeys([*HEADS, "features"], LABELS)
    history = trained.fit(
        [INPUTS, LABELS],
        targets,
        batch_size=4,
        verbose=0,
        sample_weight=dict.fromkeys(targets, np.ones(8)),
    )
    return trained, history.history


def set_floatx(floatx):
    """Sets the float dtype of the process, for layers too."""
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)  # Keras keeps the first one.


def main(floatx):
    set_floatx(floatx)
    trained, history = train()
    is_wide = floatx == "float64"
    for layer in trained.layers:
        is_head = isinstance(layer, ours.AngularMargin)
        dtype = "float32" if is_head and not is_wide else floatx
        assert {weight.dtype for weight in layer.trainable_weights} <= {dtype}
    last = [float(values[-1]) for values in history.values()]
    assert np.isfinite(last).all()


if __name__ == "__main__":
    main(sys.argv[1])

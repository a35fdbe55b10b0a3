"""Every public class reads like the call that makes it."""

import keras
import pytest
from keras.optimizers.schedules import ExponentialDecay

from keras_mhe import MHE, constraints, initializers, losses, metrics
from keras_mhe import layers as heads
from keras_mhe import regularizers as terms
from support.float_dtypes import CONSTRAINTS, HEADS, REGULARIZERS

MODULES = (keras.initializers, keras.layers, keras.random, keras.regularizers)
OURS = (constraints, heads, initializers, losses, metrics, terms)
NAMES = {"ExponentialDecay": ExponentialDecay}
for module in MODULES + OURS:
    NAMES |= vars(module)
THINGS = {
    **REGULARIZERS,
    **CONSTRAINTS,
    **{name: make() for name, make in HEADS.items()},
    "MinimumEnergy": initializers.MinimumEnergy(
        keras.initializers.HeNormal(seed=2),
        neuron_axis=(0, 2),
        seed=keras.random.SeedGenerator(3, name="draws"),
    ),
    "SpectralNormalization": heads.SpectralNormalization(
        keras.layers.Dense(3, kernel_regularizer=MHE()), kernels={"kernel": -1}
    ),
    "schedule": heads.CosFace(
        3,
        energy=MHE(units="gap"),
        energy_schedule=ExponentialDecay(1.0, 9, 2),
        name="classes",
        dtype="mixed_bfloat16",
    ),
    "OneVsAllCrossentropy": losses.OneVsAllCrossentropy(factor=2.0),
    "SampledCrossentropy": losses.SampledCrossentropy(name="loss"),
    "FeatureEnergy": metrics.FeatureEnergy(half_space=True),
}
READS = {
    "MHE": "MHE(strength=1.0, half_space=True)",
    "RegularizerSum": "RegularizerSum(regularizers=[MHE(strength=1.0, "
    "power=0.0), L2(l2=0.001)])",
    "UnitSphere": "UnitSphere(radius=1.0)",
    "MaxEnergy": "MaxEnergy(gap=0.5)",
    "MinimumEnergy": "MinimumEnergy(lengths=HeNormal(seed=2), "
    "neuron_axis=(0, 2), seed=SeedGenerator(seed=3, name='draws'))",
    "SphereFace2": "SphereFace2(units=5, margin=0.4, scale=40.0)",
    "FeatureEnergy": "FeatureEnergy(half_space=True)",
}


def config_of(thing):
    """The configuration without names that Keras counts."""
    config = thing.get_config()
    if isinstance(thing, keras.layers.Wrapper):
        config["layer"]["config"].pop("name")
    return {**config, "name": None}


@pytest.mark.parametrize("name", THINGS)
def test_reads_like_its_call(name):
    thing = THINGS[name]
    again = eval(repr(thing), dict(NAMES))
    assert type(again) is type(thing)
    assert config_of(again) == config_of(thing)
    assert repr(again) == repr(thing) == READS.get(name, repr(thing))


def test_terms_without_a_configuration():
    class Term(keras.regularizers.Regularizer):
        """Has the `get_config` of Keras, which raises."""

    total = MHE() + Term() + abs
    assert repr(total).endswith("MHE(strength=1.0), Term(), abs])")

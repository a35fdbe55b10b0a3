"""Constraints hold after training, in every kind of layer."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mhe.constraints import (
    EnergyDescent,
    MaxEnergy,
    SpectralNorm,
    UnitSphere,
)
from keras_mhe.ops import hyperspherical_energy, singular_values
from support.tensors import as_array, as_float, lengths
from support.ways import WAYS

#: A layer with the constraint, its input's shape, attribute and arguments.
CASES = {
    "Dense": (
        lambda c: layers.Dense(5, kernel_constraint=c),
        (4,),
        "kernel",
        {"neuron_axis": -1},
    ),
    "Conv2D": (
        lambda c: layers.Conv2D(5, 3, kernel_constraint=c),
        (5, 5, 2),
        "kernel",
        {"neuron_axis": -1},
    ),
    "Conv2DTranspose": (
        lambda c: layers.Conv2DTranspose(4, 3, kernel_constraint=c),
        (3, 3, 2),
        "kernel",
        {"neuron_axis": -2},
    ),
    "DepthwiseConv2D": (
        lambda c: layers.DepthwiseConv2D(
            2, depth_multiplier=3, depthwise_constraint=c
        ),
        (4, 4, 2),
        "kernel",
        {"neuron_axis": (-2, -1), "groups": 2},
    ),
    "Embedding": (
        lambda c: layers.Embedding(7, 3, embeddings_constraint=c),
        (4,),
        "embeddings",
        {"neuron_axis": 0},
    ),
    "one neuron": (
        lambda c: layers.Dense(1, kernel_constraint=c),
        (4,),
        "kernel",
        {"neuron_axis": -1},
    ),
}
#: A case, how it trains, and the dtype policy.
TRAINED = [
    *((case, "default", "float32") for case in CASES),
    *(("Conv2D", way, "float32") for way in WAYS if way != "default"),
    ("Conv2D", "default", "mixed_float16"),
    ("Dense", "default", "mixed_bfloat16"),
]


def energy(kernel, **form):
    return as_float(hyperspherical_energy(as_array(kernel), **form))


# Each takes the axes of a layer and its kernel at the start, and returns a
# constraint and what must hold of the kernel at the end.


def on_a_sphere(neuron_axis, start, groups=1):
    def holds(kernel):
        return np.allclose(lengths(kernel, neuron_axis), 0.5, rtol=1e-6)

    return UnitSphere(0.5, neuron_axis=neuron_axis), holds


def with_a_norm(mode):
    def make(neuron_axis, start, groups=1):
        def holds(kernel):
            values = singular_values(kernel, neuron_axis=neuron_axis)
            return as_array(values)[0] <= 0.5 * (1.0 + 5e-6)

        return SpectralNorm(0.5, mode=mode, neuron_axis=neuron_axis), holds

    return make


def descending(start, **axes):
    form = {"half_space": True, **axes}

    def holds(kernel):
        reached = energy(kernel, **form)
        # One neuron has no energy.
        return reached < energy(start, **form) or reached == 0.0

    return EnergyDescent(2, rate=0.5, **form), holds


def below_a_level(start, **axes):
    # Halfway to what a long descent finds.
    lowest = energy(EnergyDescent(200, rate=1.0, **axes)(start), **axes)
    limit = 0.5 * (energy(start, **axes) + lowest)

    def holds(kernel):
        return energy(kernel, **axes) <= limit + 1e-6 * abs(limit)

    return MaxEnergy(limit, steps=50, **axes), holds


CONSTRAINTS = {
    "UnitSphere": on_a_sphere,
    "SpectralNorm scale": with_a_norm("scale"),
    "SpectralNorm clip": with_a_norm("clip"),
    "EnergyDescent": descending,
    "MaxEnergy": below_a_level,
}


def model_of(case, constraint, policy):
    make, shape, _, _ = CASES[case]
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        return keras.Sequential(
            [
                keras.Input(shape),
                make(constraint),
                layers.Activation("tanh"),
                layers.Flatten(),
                layers.Dense(1),
            ]
        )
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize(("case", "way", "policy"), TRAINED)
def test_it_holds_after_training(name, case, way, policy):
    _, shape, attribute, axes = CASES[case]
    free = model_of(case, None, policy)
    start = as_array(getattr(free.layers[0], attribute))
    constraint, holds = CONSTRAINTS[name](start=start, **axes)
    model = model_of(case, constraint, policy)
    model.compile(keras.optimizers.SGD(0.05), "mse", **WAYS[way])
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(20, *shape)).astype("float32")
    if case == "Embedding":
        inputs = generator.integers(0, 7, (20, *shape))
    model.fit(inputs, np.ones(20), batch_size=1, verbose=0)
    kernel = getattr(model.layers[0], attribute)
    assert kernel.dtype == "float32"
    assert np.isfinite(as_array(kernel)).all()
    assert not np.allclose(as_array(kernel), start)
    assert holds(kernel)

"""`MinimumEnergy`: the gap at the start, lengths, seeds, saving."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe.analysis import energy_gap
from keras_mhe.initializers import MinimumEnergy
from keras_mhe.ops import hyperspherical_energy
from support.tensors import as_array, as_float, lengths

#: Shape, form, neurons and dimension of a group, where the minimum is known.
EXACT = [
    ((16, 12), {"power": 2}, 12, 16),
    ((16, 17), {"power": 0}, 17, 16),
    ((5, 10), {"power": 2}, 10, 5),
    ((3, 2), {"power": 5}, 2, 3),
    ((3, 3, 4, 20), {"power": 1, "half_space": True}, 20, 36),
    ((8, 8), {"power": 2, "half_space": True}, 8, 8),
    ((8, 8), {"distance": "angular", "half_space": True}, 8, 8),
    ((5, 40), {"power": 1, "groups": 8}, 5, 5),
    ((3, 3, 5, 7), {"neuron_axis": -2}, 5, 63),
    ((6, 9), {"neuron_axis": 0}, 6, 9),
    ((4, 2, 3), {"neuron_axis": (1, 2), "half_space": True, "groups": 2}, 3, 4),
]


def gap(kernel, form, num_neurons, dim):
    energy = as_float(hyperspherical_energy(kernel, **form))
    shown = {
        name: value
        for name, value in form.items()
        if name not in ("neuron_axis", "groups")
    }
    return energy_gap(energy, num_neurons, dim, **shown)


@pytest.mark.parametrize(("shape", "form", "num_neurons", "dim"), EXACT)
def test_the_minimum_where_it_is_known(shape, form, num_neurons, dim):
    kernel = MinimumEnergy(seed=1, **form)(shape)
    assert tuple(kernel.shape) == shape
    power = form.get("power", 2)
    if power < dim - 1:
        found = gap(kernel, form, num_neurons, dim)
        assert found == pytest.approx(0.0, abs=1e-3)
    else:  # No random level: two opposite neurons, at distance 2.
        found = as_float(hyperspherical_energy(kernel, **form))
        assert found == pytest.approx(2.0**-power, rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        ((8, 40), {}),
        ((8, 20), {"half_space": True, "power": 1}),
        ((12, 10), {"distance": "angular"}),
        ((8, 80), {"groups": 2}),
    ],
)
def test_a_descent_where_no_minimum_is_known(shape, form):
    dim, size = shape[0], shape[1] // form.get("groups", 1)
    few, many = (
        gap(MinimumEnergy(steps=n, seed=1, **form)(shape), form, size, dim)
        for n in (5, 200)
    )
    assert -1e-4 < many < few < 1.0
    assert many < 0.5


@pytest.mark.parametrize(
    "name", ["he_normal", "glorot_uniform", "lecun_normal"]
)
def test_lengths_of_a_scheme(name):
    shape = (3, 3, 16, 64)
    drawn = keras.initializers.get(name)(shape)
    made = lengths(MinimumEnergy(name, seed=1)(shape))
    expected = lengths(drawn)
    assert made.mean() == pytest.approx(expected.mean(), rel=0.03)
    assert made.std() == pytest.approx(expected.std(), rel=0.5)


def test_lengths_that_are_given():
    kernel = MinimumEnergy(3.0, seed=1, neuron_axis=0)((5, 9))
    np.testing.assert_allclose(lengths(kernel, 0), 3.0, rtol=1e-6)
    kernel = MinimumEnergy("zeros", seed=1)((4, 3))
    np.testing.assert_array_equal(as_array(kernel), 0.0)
    scheme = keras.initializers.HeNormal(seed=5)
    kernel = MinimumEnergy(scheme, seed=1)((8, 6))
    np.testing.assert_allclose(
        lengths(kernel), lengths(scheme((8, 6))), rtol=1e-5
    )


def test_seeds():
    def made(seed):
        return as_array(MinimumEnergy(seed=seed)((8, 6)))

    np.testing.assert_array_equal(made(3), made(3))
    assert not np.allclose(made(3), made(4))
    initializer = MinimumEnergy(seed=3)
    np.testing.assert_array_equal(
        as_array(initializer((8, 6))), as_array(initializer((8, 6)))
    )
    generator = MinimumEnergy(seed=keras.random.SeedGenerator(3))
    first, second = (as_array(generator((8, 6))) for _ in range(2))
    assert not np.allclose(first, second)
    keras.utils.set_random_seed(1)
    one = made(None)
    assert not np.allclose(one, made(None))
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(one, made(None))


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))],
    ids=["deepcopy", "pickle"],
)
@pytest.mark.parametrize(
    "lengths",
    ["he_normal", keras.initializers.HeNormal(keras.random.SeedGenerator(5))],
    ids=["name", "generator"],
)
def test_duplicates_go_on_where_the_generator_is(duplicate, lengths):
    initializer = MinimumEnergy(lengths, seed=keras.random.SeedGenerator(3))
    initializer((8, 6))
    other = duplicate(initializer)
    assert other.get_config() == initializer.get_config()
    assert other.seed is not initializer.seed
    # Where lengths draw from the same generator, they do so still.
    assert (other.lengths.seed is other.seed) == (lengths == "he_normal")
    for _ in range(2):
        np.testing.assert_array_equal(
            as_array(other((8, 6))), as_array(initializer((8, 6)))
        )


def test_a_shallow_copy_shares_the_generator_and_a_clone_begins_anew():
    initializer = MinimumEnergy(seed=keras.random.SeedGenerator(3))
    first = as_array(initializer((8, 6)))
    assert copy.copy(initializer).seed is initializer.seed
    clone = initializer.clone()
    np.testing.assert_array_equal(as_array(clone((8, 6))), first)


@pytest.mark.parametrize("seed", [None, 3])
def test_duplicates_without_a_generator(seed):
    initializer = MinimumEnergy(seed=seed)
    other = pickle.loads(pickle.dumps(initializer))
    assert other.get_config() == initializer.get_config()
    np.testing.assert_array_equal(
        as_array(other((8, 6))), as_array(initializer((8, 6)))
    )


def test_rotations_are_random():
    # Each entry of a random rotation has mean 0 and variance 1 / dim.
    entries = np.array(
        [as_array(MinimumEnergy(1.0, seed=k)((4, 3))) for k in range(200)]
    )
    np.testing.assert_allclose(entries.mean(axis=0), 0.0, atol=0.15)
    np.testing.assert_allclose(entries.var(axis=0), 0.25, atol=0.08)


# JAX has no float64 unless it is asked for.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(dtype):
    kernel = MinimumEnergy(seed=1)((8, 6), dtype=dtype)
    assert kernel.dtype == ops.zeros((), dtype=dtype).dtype
    assert gap(kernel, {}, 6, 8) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("shape", [(4, 1), (1, 2), (1, 5)])
def test_few_neurons_or_dimensions(shape):
    kernel = as_array(MinimumEnergy(2.0, seed=1)(shape))
    np.testing.assert_allclose(lengths(kernel), 2.0, rtol=1e-6)


def test_in_a_layer_that_is_saved(tmp_path):
    form = {"half_space": True}
    initializer = MinimumEnergy(seed=1, **form)
    layer = layers.Conv2D(6, 3, kernel_initializer=initializer)
    model = keras.Sequential([keras.Input((5, 5, 2)), layer])
    assert gap(layer.kernel, form, 6, 18) == pytest.approx(0.0, abs=1e-3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    restored = loaded.layers[0].kernel_initializer
    assert restored.get_config() == initializer.get_config()


@pytest.mark.parametrize(
    "initializer",
    [
        MinimumEnergy(),
        MinimumEnergy(0.5, steps=3, power=0, seed=1),
        MinimumEnergy(keras.initializers.GlorotNormal(2), groups=2),
        MinimumEnergy(seed=keras.random.SeedGenerator(3)),
        MinimumEnergy(neuron_axis=(0, 1), distance="angular"),
    ],
)
def test_configuration(initializer):
    serialized = keras.saving.serialize_keras_object(initializer)
    restored = keras.initializers.get(json.loads(json.dumps(serialized)))
    assert type(restored) is MinimumEnergy
    again = keras.saving.serialize_keras_object(restored)
    assert json.dumps(again) == json.dumps(serialized)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lengths": 0.0}, "`lengths` must be a finite real number > 0"),
        ({"lengths": None}, "a Keras initializer or its name"),
        ({"steps": 0}, "`steps` must be an integer >= 1"),
        ({"power": -1}, "`power` must be a finite real number >= 0"),
        ({"seed": 1.5}, "`seed` must be an integer >= 0"),
        ({"groups": 4}, "`groups` must divide the number of neurons"),
        ({"neuron_axis": 2}, "`neuron_axis` must be in"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MinimumEnergy(**arguments)((8, 6))


@pytest.mark.parametrize("shape", [np.ones((8, 4)), 8, (8, None), "84"])
def test_what_is_no_shape(shape):
    with pytest.raises(ValueError, match="`shape` must be a tuple of integers"):
        MinimumEnergy()(shape)

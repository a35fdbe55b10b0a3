"""`register_neurons`: layers of one's own, from `regularize` to a file."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_mhe
from keras_mhe import MHE, register_neurons, regularize, unregularize
from support.tensors import total


@keras.saving.register_keras_serializable("keras_mhe_tests")
class Mixture(layers.Layer):
    """One weight whose regularizer it holds, and one in blocks without."""

    def __init__(self, points_regularizer=None, blocks=2, **options):
        super().__init__(**options)
        self.points_regularizer = keras.regularizers.get(points_regularizer)
        self.blocks = blocks
        self.unused = None

    def build(self, input_shape):
        self.points = self.add_weight(
            shape=(5, input_shape[-1]), regularizer=self.points_regularizer
        )
        self.mixing = self.add_weight(shape=(self.blocks, 5, 3))

    def call(self, inputs):
        near = ops.tanh(inputs @ ops.transpose(self.points))
        return ops.sum(near @ self.mixing, axis=0)

    def get_config(self):
        regularizer = keras.regularizers.serialize(self.points_regularizer)
        return {
            **super().get_config(),
            "points_regularizer": regularizer,
            "blocks": self.blocks,
        }


class Without(Mixture):
    """Takes a weight of its base class away."""


class Gate(layers.Wrapper):
    """A wrapper with a weight of its own."""

    def build(self, input_shape):
        super().build(input_shape)
        self.gate = self.add_weight(shape=(4, input_shape[-1]))

    def call(self, inputs):
        return self.layer(inputs) + ops.sum(inputs @ ops.transpose(self.gate))


register_neurons(
    Mixture, "points", neuron_axis=[0], regularizer="points_regularizer"
)
register_neurons(
    Mixture,
    "mixing",
    neuron_axis=lambda layer: (0, 2),
    groups=lambda layer: layer.blocks,
)
register_neurons(Mixture, "unused")
register_neurons(Without, "mixing", neuron_axis=None)


def model_of(*inner):
    return keras.Sequential([keras.Input((4,)), *inner])


def test_regularized_trained_watched_and_saved(tmp_path):
    keras.utils.set_random_seed(0)
    model = model_of(Mixture(name="own"))
    rows = regularize(model, MHE(0.1))
    assert [(r.layer, r.done, r.saved) for r in rows] == [
        ("own/points", True, True),
        ("own/mixing", True, False),
    ]
    audited = keras_mhe.audit(model)
    kernels = keras_mhe.analysis.neuron_kernels(model)
    assert [row.layer for row in audited] == [row.layer for row in rows]
    assert [(k.num_neurons, k.groups, k.dim) for k in kernels] == [
        (5, 1, 4),
        (3, 2, 5),
    ]
    energies = [0.1 * row.energy for row in audited]
    assert total(model.losses) == pytest.approx(sum(energies), rel=1e-5)
    model.compile(keras.optimizers.SGD(0.5), "mse", loss_weights=[0.0])
    monitor = keras_mhe.callbacks.EnergyMonitor(per_layer=True)
    x = np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
    logs = model.fit(
        x, x[:, :3], epochs=2, verbose=0, callbacks=[monitor]
    ).history
    for row in rows:
        key = f"energy/{row.layer}"
        assert logs[key][-1] < monitor.initial[key]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    acting = [v.regularizer is not None for v in loaded.weights]
    assert acting == [True, False]
    assert [row.done for row in unregularize(loaded)] == [True, False]
    assert all(row.done for row in unregularize(model))
    assert model.losses == loaded.losses == []


def test_what_is_not_built_yet():
    model = keras.Sequential([Mixture(name="own")])
    points, mixing, _ = regularize(model, MHE(1.0))
    assert (points.done, points.note) == (True, "not built yet")
    assert (mixing.done, mixing.note) == (
        False,
        "not built yet: build it first",
    )
    model.build((None, 4))
    assert len(model.losses) == 1


def test_subclasses_and_wrappers():
    inner = layers.Dense(4, name="inner")
    model = model_of(Without(name="own"), Gate(inner, name="gate"))
    rows = regularize(model, MHE(1.0), output_layer=MHE(2.0))
    assert [(row.layer, row.regularizer, row.note) for row in rows] == [
        ("own/points", "MHE(1)", ""),
        ("gate", "", "neurons of Gate are not known: see `register_neurons`"),
        ("gate/inner", "MHE(2)", ""),
    ]
    assert keras_mhe.audit(model).unknown == ("gate",)
    register_neurons(Gate, "gate", neuron_axis=0)
    assert [row.layer for row in keras_mhe.audit(model)] == [
        "own/points",
        "gate",
        "gate/inner",
    ]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"layer_class": Mixture()}, r"`layer_class` must be a class"),
        ({"layer_class": dict}, r"`layer_class` must be a class"),
        ({"weight": 3}, r"`weight` must be the name .* Received: weight=3"),
        ({"regularizer": MHE(1.0)}, r"`regularizer` must be the name"),
        ({"neuron_axis": "last"}, r"`neuron_axis` must be an integer"),
        ({"groups": 0}, r"`groups` must be an integer >= 1"),
        # What can only be seen in a layer.
        (
            {"neuron_axis": 2},
            r"told of 'weight'.*Odd.*`neuron_axis` must be in",
        ),
        ({"neuron_axis": (0, 1)}, r"told of 'weight'.*each axis once"),
        ({"neuron_axis": lambda _: "last"}, r"Odd layer 'odd'.*be an integer"),
        ({"groups": lambda odd: odd.no}, r"Odd layer 'odd'.*attribute 'no'"),
        ({"groups": 2}, r"Odd layer 'odd'.*`groups` must divide"),
        ({"weight": "wieght"}, r"told of 'wieght'.*no attribute 'wieght'"),
        ({"regularizer": "none"}, r"told of 'weight'.*no attribute 'none'"),
    ],
)
def test_errors(arguments, match):
    class Odd(layers.Layer):
        def build(self, input_shape):
            self.weight = self.add_weight(shape=(input_shape[-1], 3))

        def call(self, inputs):
            return inputs @ self.weight

    def told_and_looked_at():
        register_neurons(**{"layer_class": Odd, "weight": "weight"} | arguments)
        regularize(model_of(Odd(name="odd")), MHE(1.0))

    with pytest.raises(ValueError, match=match):
        told_and_looked_at()

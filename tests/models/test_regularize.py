"""`regularize`: where a regularizer goes, with which axes, and what is told."""

import re

import keras
import numpy as np
import pytest
from keras import layers

import keras_mhe
from keras_mhe import MHE, regularize, unregularize
from keras_mhe.regularizers import (
    AddedRegularizer,
    CompressiveMHE,
    RegularizerSum,
    Separation,
)
from support.layer_cases import LAYERS
from support.tensors import as_float, total

pytestmark = pytest.mark.once


def small_model(**options):
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, name="hidden", **options),
            layers.Dense(3, name="classes"),
        ]
    )


def values_of(rows):
    return [(row.layer, row.done, row.regularizer) for row in rows]


#: Layers whose weights, regularizers or wrapping have different names.
KINDS = [
    "Dense",
    "grouped Conv2D",
    "Conv2DTranspose",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "Embedding",
    "LSTM",
    "LSTM in both directions",
    "RNN of cells in a stack",
    "ConvLSTM1D",
    "EinsumDense with two axes of outputs",
    "ArcFace",
    "wrapped",
]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_layer(name, tmp_path):
    make, input_shape, expected = LAYERS[name]
    model = keras.Sequential([keras.Input(input_shape), make()])
    rows = regularize(model, MHE(2.0, power=1, half_space=True))
    assert [(row.done, row.saved) for row in rows] == [(True, True)] * len(
        expected
    )
    kernels = keras_mhe.analysis.neuron_kernels(model)
    terms = [kernel.variable.regularizer.added for kernel in kernels]
    assert [(term.neuron_axis, term.groups) for term in terms] == [
        (axis, groups) for _, axis, groups, *_ in expected
    ]
    form = {"power": 1, "distance": "euclidean", "half_space": True}
    energy = 2.0 * sum(kernel.energy(**form) for kernel in kernels)
    assert total(model.losses) == pytest.approx(energy, rel=1e-5)
    # Saved, loaded and taken away again.
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    assert total(loaded.losses) == pytest.approx(energy, rel=1e-5)
    assert all(row.done for row in unregularize(loaded))
    assert loaded.losses == []


def test_attention_is_told_not_to_survive(tmp_path):
    inputs = keras.Input((5, 6))
    attention = layers.MultiHeadAttention(2, 4, name="attention")
    outputs = layers.Dense(3, name="dense")(attention(inputs, inputs))
    model = keras.Model(inputs, outputs)
    rows = regularize(model, MHE(1.0))
    assert [row.saved for row in rows] == [False] * 4 + [True]
    assert len(model.losses) == 5
    axes = [v.regularizer.added.neuron_axis for v in attention.variables[::2]]
    assert axes == [(1, 2), (1, 2), (1, 2), -1]
    path = tmp_path / "model.keras"
    model.save(path)
    assert len(keras.models.load_model(path).losses) == 1


def test_compiled_models_are_looked_at_too():
    inner = small_model()
    inner.compile("adam", "mse")
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dropout(0.5)(inner(inputs)))
    model.compile("adam", "mse", metrics=["mae"])
    rows = regularize(model, MHE(1.0))
    assert [row.saved for row in rows] == [True, True]


def test_regularizers_that_are_there_stay():
    model = small_model(kernel_regularizer=keras.regularizers.L2(0.5))
    before = total(model.losses)
    rows = regularize(model, MHE(1.0))
    assert values_of(rows) == [
        ("hidden", True, "L2 + MHE(1)"),
        ("classes", True, "MHE(1)"),
    ]
    energies = [
        MHE(1.0)(kernel.variable)
        for kernel in keras_mhe.analysis.neuron_kernels(model)
    ]
    assert total(model.losses) == pytest.approx(
        before + total(energies), rel=1e-5
    )
    rows = unregularize(model)
    assert values_of(rows) == [("hidden", True, "L2"), ("classes", True, "")]
    assert total(model.losses) == pytest.approx(before)


def test_called_again_it_replaces():
    model = small_model(kernel_regularizer="l2")
    regularize(model, MHE(1.0))
    rows = regularize(model, Separation(2.0), layers=["hidden"])
    assert values_of(rows) == [
        ("hidden", True, "L2 + Separation(2)"),
        ("classes", False, "MHE(1)"),
    ]
    assert rows[0].note == "replaced MHE(1)"
    assert rows[1].note == "left out"


def test_each_kernel_has_its_own_copy():
    model = small_model()
    term = MHE(1.0, neuron_axis=0, groups=3)
    regularize(model, term)
    copies = [
        kernel.variable.regularizer.added
        for kernel in keras_mhe.analysis.neuron_kernels(model)
    ]
    assert copies[0] is not copies[1]
    assert [(c.neuron_axis, c.groups) for c in copies] == [(-1, 1)] * 2
    assert (term.neuron_axis, term.groups) == (0, 3)


def test_sums_and_relatives():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Embedding(7, 5, name="words")]
    )
    terms = CompressiveMHE(1.0, dim=2, seed=4) + keras.regularizers.L1(0.1)
    (row,) = regularize(model, terms + MHE(0.5))
    assert row.regularizer == "CompressiveMHE(1, half) + L1 + MHE(0.5)"
    added = model.layers[-1].embeddings.regularizer.added
    assert isinstance(added, RegularizerSum)
    compressive, decay, energy = added.regularizers
    assert compressive.get_config()["neuron_axis"] == 0
    assert compressive.seed == 4
    assert energy.neuron_axis == 0
    assert decay is terms.regularizers[1]
    assert np.isfinite(total(model.losses))


def test_names_functions_and_other_regularizers():
    model = small_model()

    def magnitude(weights):
        return keras.ops.sum(keras.ops.abs(weights))

    rows = regularize(model, "l2", output_layer=magnitude)
    assert values_of(rows) == [
        ("hidden", True, "L2"),
        ("classes", True, "magnitude"),
    ]
    expected = as_float(magnitude(model.layers[-1].kernel))
    assert as_float(model.losses[-1]) == pytest.approx(expected)
    # Keras does not load a function without a registered name.
    assert [row.saved for row in rows] == [True, False]


# Which layers.


def test_layers_and_skip():
    model = keras.Sequential(
        [keras.Input((6,))]
        + [
            layers.Dense(4, name=f"block{k}_dense{j}")
            for k in (1, 2)
            for j in (1, 2)
        ]
    )
    rows = regularize(
        model, MHE(1.0), layers=["block2*", "*dense1"], skip=["block2_dense2"]
    )
    assert [row.done for row in rows] == [True, False, True, False]
    assert len(model.losses) == 2
    rows = unregularize(model, layers=["block1*"])
    assert [row.done for row in rows] == [True, False, False, False]
    assert len(model.losses) == 1


@pytest.mark.parametrize("argument", ["layers", "skip"])
def test_names_of_nothing(argument):
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(6, name="dense[1]?")]
        + [layers.Dense(6, name=f"hidden_{k}") for k in range(30)]
    )
    # Names are patterns only where they are not names.
    regularize(model, MHE(1.0), **{argument: ["dense[1]?"]})
    for name, guess in (("dense1?", ""), ("hiden_7", "'hidden_7'.*more")):
        match = (
            f"`{argument}` must name .*{guess}.*Received: '{re.escape(name)}'"
        )
        with pytest.raises(ValueError, match=match) as error:
            regularize(model, MHE(1.0), **{argument: [name]})
        assert len(str(error.value)) < 300


def test_what_it_leaves_alone_and_why():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 2))
    shared = layers.Conv2D(2, 1, name="shared")
    x = shared(shared(inputs))
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.DepthwiseConv2D(2, name="depthwise")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(1, name="one")(x)
    x = layers.Dense(3, name="of_one_entry")(x)
    x = layers.PReLU(name="prelu")(x)
    model = keras.Model(inputs, layers.Dense(3, name="last")(x))
    rows = {row.layer: row for row in regularize(model, MHE(1.0))}
    assert {name: row.note for name, row in rows.items()} == {
        "shared": "",
        "norm": "no kernel",
        "depthwise": "one neuron in a group",
        "one": "one neuron",
        "of_one_entry": "neurons of one entry",
        "prelu": "no kernel",
        "last": "",
    }
    assert [name for name, row in rows.items() if row.done] == [
        "shared",
        "last",
    ]
    assert (rows["last"].num_neurons, rows["last"].dim) == (3, 3)
    assert rows["norm"].num_neurons is None


def test_shared_layers_in_two_models():
    shared = layers.Dense(4, name="dense")
    inner = keras.Sequential([keras.Input((4,)), shared], name="inner")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.add([shared(inputs), inner(inputs)]))
    first, second = regularize(model, MHE(1.0))
    assert first.done
    assert not second.done
    assert second.note == f"shared: see {first.layer}"
    assert len(model.losses) == 1
    assert len(keras_mhe.analysis.neuron_kernels(model)) == 1


def test_frozen_and_quantized_layers_are_told():
    model = small_model()
    model.layers[0].trainable = False
    frozen, free = regularize(model, MHE(1.0))
    assert frozen.note == "frozen: without effect until it is trainable"
    assert free.note == ""
    assert len(model.losses) == 1
    model.layers[0].trainable = True
    assert len(model.losses) == 2
    model.layers[1].quantize("int8")
    first, second = regularize(model, MHE(1.0))
    assert (first.done, second.done) == (True, False)
    assert "quantized" in second.note


# Output layers.


def behind_activations():
    inputs = keras.Input((6,))
    x = layers.Dense(5, name="hidden")(inputs)
    x = layers.Reshape((4, 1))(layers.Dense(4, name="classes")(x))
    return keras.Model(inputs, layers.Softmax(axis=1)(x)), {"classes"}


def several_outputs():
    inputs = keras.Input((6,))
    first = layers.Dense(4, name="first")(inputs)
    second = layers.Dense(3, name="second", activation="tanh")(inputs)
    relu = layers.ReLU()
    outputs = {
        "a": second,
        "b": relu(layers.Dense(2, name="third")(first)),
        "c": relu(layers.Dense(2, name="fourth")(first)),
    }
    return keras.Model(inputs, outputs), {"second", "third", "fourth"}


def nested():
    head = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(4, name="a"),
            layers.Dense(3, name="b"),
        ],
        name="head",
    )
    inputs = keras.Input((6,))
    outputs = layers.ReLU()(head(layers.Dense(5, name="body")(inputs)))
    return keras.Model(inputs, outputs), {"head/b"}


def in_both_directions():
    both = layers.Bidirectional(layers.LSTM(3, name="lstm"), name="both")
    model = keras.Sequential([keras.Input((4, 5)), both])
    names = ("kernel", "recurrent_kernel")
    sides = ("both/forward_lstm", "both/backward_lstm")
    return model, {f"{side}/{name}" for side in sides for name in names}


@pytest.mark.parametrize(
    "make", [behind_activations, several_outputs, nested, in_both_directions]
)
def test_output_layers(make):
    model, last = make()
    rows = regularize(model, MHE(1.0), output_layer=MHE(10.0))
    assert {row.layer for row in rows if row.regularizer == "MHE(10)"} == last
    others = {row.regularizer for row in rows if row.layer not in last}
    assert others <= {"MHE(1)"}


# Models of other kinds.


class Block(layers.Layer):
    """A layer of layers, as those of KerasHub: their names are fixed."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units
        self.attention = layers.MultiHeadAttention(2, 3, name="attention")
        self.dense = layers.Dense(units, name="feedforward")

    def call(self, inputs):
        return self.dense(self.attention(inputs, inputs))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("keras_mhe_tests")
class Backbone(keras.Model):
    """Functional, but saved as its constructor's arguments."""

    def __init__(self, units, **options):
        inputs = keras.Input((4,), dtype="int32")
        words = layers.Embedding(9, units, name="words")
        outputs = Block(units, name="block")(words(inputs))
        super().__init__(inputs=inputs, outputs=outputs, **options)
        self.units = units

    def get_config(self):
        return {"units": self.units, "name": self.name}


def test_backbone_that_is_saved_as_arguments(tmp_path):
    model = Backbone(6)
    rows = regularize(model, MHE(1.0), output_layer=MHE(10.0))
    assert [row.layer for row in rows] == [
        "words",
        "block/attention/query",
        "block/attention/key",
        "block/attention/value",
        "block/attention/attention_output",
        "block/feedforward",
    ]
    assert [row.regularizer for row in rows] == ["MHE(1)"] * 5 + ["MHE(10)"]
    assert [row.saved for row in rows] == [False] * 6
    assert len(model.losses) == 6
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path, custom_objects={"Block": Block})
    assert loaded.losses == []


class Subclassed(keras.Model):
    """Without a graph and without a configuration."""

    def __init__(self):
        super().__init__()
        self.first = layers.Dense(5, name="first")
        self.blocks = [layers.Dense(5, name=f"block_{k}") for k in range(2)]
        self.last = layers.Dense(3, name="last")

    def call(self, inputs):
        x = self.first(inputs)
        for block in self.blocks:
            x = block(x)
        return self.last(x)


@pytest.mark.parametrize("is_built", [True, False])
def test_subclassed_model(is_built):
    model = Subclassed()
    if is_built:
        model(np.ones((1, 4), "float32"))
    rows = regularize(model, MHE(1.0), output_layer=MHE(10.0))
    assert {row.layer: row.regularizer for row in rows} == {
        "first": "MHE(1)",
        "block_0": "MHE(1)",
        "block_1": "MHE(1)",
        "last": "MHE(10)",
    }
    build = [] if is_built else ["not built yet"]
    assert {row.note for row in rows} == {
        "; ".join(build),
        "; ".join(["last in model.layers", *build]),
    }
    # Loaded by its constructor, without what was put there.
    assert not any(row.saved for row in rows)
    model(np.ones((1, 4), "float32"))
    assert len(model.losses) == 4
    unregularize(model)
    assert model.losses == []


def test_sequential_model_without_an_input():
    model = keras.Sequential(
        [
            layers.Conv1D(5, 2, name="conv"),
            layers.DepthwiseConv1D(2, depth_multiplier=2, name="depthwise"),
            layers.Bidirectional(layers.LSTM(3, name="lstm"), name="both"),
        ]
    )
    rows = regularize(model, MHE(1.0))
    assert [row.done for row in rows] == [True, False] + [True] * 4
    assert rows[1].note == "not built yet: build it first"
    model.build((None, 6, 3))
    assert len(model.losses) == 5
    lstm = model.layers[-1].forward_layer
    assert lstm.cell.kernel.regularizer.added.groups == 4


@pytest.mark.slow
def test_applications():
    model = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, weights=None, classes=10
    )
    rows = regularize(model, MHE(1.0), output_layer=MHE(10.0))
    done = [row for row in rows if row.done]
    # 17 blocks without the first's expansion, stem, last convolution, classes.
    assert len(done) == 16 + 17 + 1 + 1 + 1
    assert all(row.saved for row in done)
    reasons = {row.note for row in rows if not row.done}
    assert reasons == {"no kernel", "one neuron in a group"}
    assert done[-1].layer == "predictions"
    assert done[-1].regularizer == "MHE(10)"
    assert len(model.losses) == len(done)


# Errors, and what is not disturbed.


@pytest.mark.parametrize("regularizer", [None, 3, "unknown"])
def test_what_is_no_regularizer(regularizer):
    with pytest.raises(ValueError, match=r"`regularizer` must be a Keras"):
        regularize(small_model(), regularizer)
    if regularizer is not None:
        with pytest.raises(ValueError, match=r"`output_layer` must be a"):
            regularize(small_model(), MHE(1.0), output_layer=regularizer)


def test_model_without_kernels():
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(1, name="one"), layers.ReLU()]
    )
    with pytest.raises(
        ValueError, match=r"`model` must have a kernel .* with one: one neuron"
    ):
        regularize(model, MHE(1.0))


def test_randomness_and_names_go_on_as_without_it():
    def draws(with_regularizer):
        keras.utils.set_random_seed(5)
        keras.utils.clear_session()  # Counters in the names of layers.
        model = keras.Sequential(
            [keras.Input((6,)), layers.Dense(5), layers.Dropout(0.5)]
        )
        if with_regularizer:
            regularize(model, MHE(1.0))
        later = keras.Sequential(
            [keras.Input((6,)), layers.Dense(5), layers.Dropout(0.5)]
        )
        assert later.layers[0].name == "dense_1"
        output = later(np.ones((1, 6), "float32"), training=True)
        return keras.ops.convert_to_numpy(output)

    np.testing.assert_array_equal(draws(True), draws(False))


class Unfinished(keras.regularizers.Regularizer):
    """Without a configuration, which Keras asks for on saving only."""

    def __call__(self, x):
        return keras.ops.sum(x)


def test_regularizers_without_a_configuration():
    model = small_model(kernel_regularizer=Unfinished())
    first, _ = regularize(model, Unfinished())
    assert (first.regularizer, first.saved) == (
        "Unfinished + Unfinished",
        False,
    )
    kernels = [layer.kernel for layer in model.layers]
    expected = total(Unfinished()(kernels[k]) for k in (0, 0, 1))
    assert total(model.losses) == pytest.approx(expected, rel=1e-5)


class Few(Separation):
    """Cannot be made for the second kernel."""

    made = 0

    @classmethod
    def from_config(cls, config):
        cls.made += 1
        if cls.made > 1:
            raise RuntimeError("no more copies")
        return super().from_config(config)


def test_an_error_changes_nothing():
    model = small_model(kernel_regularizer="l2")
    before = [layer.kernel_regularizer for layer in model.layers]
    with pytest.raises(RuntimeError, match="no more copies"):
        regularize(model, Few(1.0))
    for layer, regularizer in zip(model.layers, before, strict=True):
        assert layer.kernel_regularizer is regularizer
        assert layer.kernel.regularizer is regularizer


@pytest.mark.parametrize("is_built", [True, False])
def test_costly_layers_are_told(is_built):
    words = layers.Embedding(10_001, 2, name="words")
    inputs = [keras.Input((3,), dtype="int32")] if is_built else []
    model = keras.Sequential([*inputs, words, layers.Dense(2, name="last")])
    costly, cheap = regularize(model, MHE(1.0))
    assert "all pairs of 10,001 neurons; see `anchors`" in costly.note
    assert "pairs" not in cheap.note
    assert "pairs" not in regularize(model, "l2", layers=["words"])[0].note


def test_table():
    model = small_model(kernel_regularizer="l2")
    lines = str(regularize(model, MHE(1.0))).splitlines()
    assert lines[0].split() == (
        ["layer", "num_neurons", "dim", "done", "regularizer", "saved"]
    )
    assert lines[2].split() == (
        ["hidden", "5", "6", "yes", "L2", "+", "MHE(1)", "yes"]
    )
    model = keras.Sequential([keras.Input((4, 5)), layers.LSTM(3)])
    rows = regularize(model, MHE(1.0, power=0, distance="angular"))
    assert rows[0].groups == 4
    assert "groups" in str(rows).splitlines()[0]
    assert rows[0].regularizer == "MHE(1, power 0, angular)"


def test_published_terms_take_the_last_axis():
    words = keras.layers.Embedding(5, 3)
    model = keras.Sequential([keras.Input((4,)), words, keras.layers.Dense(2)])
    hidden = MHE.from_reference("half_mhe", "a1")
    output = MHE.from_reference("half_mhe", "2", output_layer=True)
    first, last = regularize(model, hidden, output_layer=output)
    assert first.regularizer == "PublishedMHE(0.1, power 1, angular, half)"
    assert first.note.endswith(" takes the last axis for the neurons")
    assert (last.regularizer, last.note) == ("PublishedMHE(10)", "")


def test_added_regularizer_is_saved():
    both = AddedRegularizer(keras.regularizers.L2(0.5), MHE(2.0, power=1))
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(both)
    )
    assert copy.before.get_config() == both.before.get_config()
    assert copy.added.get_config() == both.added.get_config()
    alone = AddedRegularizer(None, MHE(2.0))
    weights = np.eye(3, 4, dtype="float32")
    assert as_float(alone(weights)) == pytest.approx(
        as_float(MHE(2.0)(weights))
    )
    assert AddedRegularizer.from_config(alone.get_config()).before is None
    for added in (None, 3):
        with pytest.raises(ValueError, match=r"`added` must be|Could not"):
            AddedRegularizer(None, added)


# What readers of the code and users found.


class Twins(keras.Model):
    """Has layers of one name, one in `outputs`, and a matrix of its own."""

    def __init__(self):
        super().__init__(name="own")
        self.first = layers.Dense(5, name="dense")
        self.outputs = [layers.Dense(4, name="dense")]

    def build(self, input_shape):
        self.matrix = self.add_weight(shape=(input_shape[-1], 4))
        self.first.build((None, 4))
        self.outputs[0].build((None, 5))

    def call(self, inputs):
        return self.outputs[0](self.first(inputs @ self.matrix))


def test_weights_of_the_model_and_layers_of_the_same_name():
    model = Twins()
    model.build((None, 6))
    rows = regularize(model, "l2", layers=["dense#2"], output_layer=MHE(10.0))
    unknown = "neurons of Twins are not known: see `register_neurons`"
    assert [(row.layer, row.done, row.note) for row in rows] == [
        ("own", False, unknown),
        ("dense", False, "left out"),
        ("dense#2", True, "last in model.layers"),
    ]
    audit = keras_mhe.audit(model)
    assert [row.layer for row in audit] == ["dense", "dense#2"]
    footer = "Layers whose neurons are not known: own."
    assert str(audit).splitlines()[-1] == footer


@pytest.mark.parametrize("model", ["model.keras", layers.Dense(3), None])
def test_what_is_no_model(model):
    for call in (
        lambda: regularize(model, MHE(1.0)),
        lambda: unregularize(model),
        lambda: keras_mhe.audit(model),
    ):
        with pytest.raises(ValueError, match="`model` must be a Keras model"):
            call()


def test_a_regularizer_that_other_weights_share():
    decay = keras.regularizers.L2(0.5)
    model = keras.Sequential(
        [
            keras.Input((4, 5)),
            layers.LSTM(
                3,
                kernel_regularizer=decay,
                recurrent_regularizer=decay,
                bias_regularizer=decay,
            ),
            layers.Dense(3, kernel_regularizer=decay, bias_regularizer=decay),
        ]
    )
    before = total(model.losses)
    regularize(model, MHE(1.0))
    added = [
        variable
        for variable in model.trainable_variables
        if isinstance(variable.regularizer, AddedRegularizer)
    ]
    assert [len(variable.shape) for variable in added] == [2, 2, 2]
    assert total(model.losses) > before
    unregularize(model)
    assert all(v.regularizer is decay for v in model.trainable_variables)
    assert total(model.losses) == pytest.approx(before)

"""LoRA: the energy is that of the weight that the layer computes with."""

import copy
import pickle
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers, ops, regularizers

import keras_mhe
from keras_mhe import MHE, regularize, unregularize
from keras_mhe.regularizers import Separation
from support import numpy_reference
from support.float_dtypes import REGULARIZERS as TERMS
from support.tensors import as_float, total


def case(make, shape, rank=2, dtype="float32", **axes):
    return SimpleNamespace(
        make=make, shape=shape, rank=rank, dtype=dtype, axes=axes
    )


def einsum_dense(equation, *shape):
    def make(units, **options):
        return layers.EinsumDense(equation, (*shape, units), **options)

    return make


def embedding(units, kernel_regularizer=None, **options):
    return layers.Embedding(4, units, None, kernel_regularizer, **options)


def convolution(layer, *arguments):
    return lambda units, **options: layer(units, *arguments, **options)


#: Every kind of layer that takes LoRA, and the axes of its neurons. All have
#: neurons of four entries, for which backends compile once; the factors of
#: the first have the kernel's shape.
CASES = {
    "square": case(layers.Dense, (4,), 4),
    "Dense": case(layers.Dense, (4,)),
    "EinsumDense": case(
        einsum_dense("ab,bcd->acd", 2), (4,), neuron_axis=(1, 2)
    ),
    "EinsumDense by group": case(
        einsum_dense("abc,bcd->abd", 2), (2, 4), neuron_axis=(0, 2), groups=2
    ),
    "Embedding": case(embedding, (3,), dtype="int32", neuron_axis=0),
    "Conv1D": case(convolution(layers.Conv1D, 2), (3, 2)),
    "Conv2D": case(
        convolution(layers.Conv2D, (2, 2), 1, "valid", None, 1, 2),
        (3, 3, 2),
        groups=2,
    ),
    "Conv3D": case(convolution(layers.Conv3D, (2, 2, 1)), (2, 2, 2, 1)),
}


def model_of(name="Dense", **options):
    """A model of one layer, and the layer."""
    one = CASES[name]
    layer = one.make(4, name="layer", **options)
    inputs = keras.Input(one.shape, dtype=one.dtype)
    return keras.Model(inputs, layer(inputs)), layer


def adapt(layer, rank=2, alpha=3.0):
    """LoRA whose second factor is no longer zero."""
    layer.enable_lora(rank, lora_alpha=alpha)
    return fill(layer)


def fill(layer):
    generator = np.random.default_rng(0)
    for factor in factors_of(layer):
        factor.assign(generator.normal(size=factor.shape))
    return layer


def factors_of(layer):
    return [w for w in layer.weights if w.name.startswith("lora_")]


def merged(layer):
    """`W + scale * A B` in float64, of a weight in floats."""
    frozen = next(
        w for w in layer.weights if w.name in {"kernel", "embeddings"}
    )
    first, second = (ops.convert_to_numpy(f) for f in factors_of(layer))
    scale = layer.lora_alpha / layer.lora_rank
    return ops.convert_to_numpy(frozen) + scale * first @ second


def energy_of(layer, name="Dense"):
    return numpy_reference.energy(merged(layer), **CASES[name].axes)


def fit_once(model, rate=0.0, **options):
    """The loss of one step, which has the regularizers only."""
    model.compile(
        keras.optimizers.SGD(rate),
        lambda y_true, y_pred: 0.0 * ops.mean(y_pred),
        **options,
    )
    x = np.ones((2, *model.input_shape[1:]))
    return model.fit(x, np.zeros((2, 1)), verbose=0).history["loss"][0]


@pytest.mark.parametrize(
    ("name", "order"),
    [(name, "regularize first") for name in CASES]
    + [
        (name, order)
        for name in ("square", "EinsumDense", "Embedding", "Conv2D")
        for order in ("LoRA first", "lora_rank=")
    ],
)
def test_regularize(name, order):
    options = {"lora_rank": CASES[name].rank} if order == "lora_rank=" else {}
    model, layer = model_of(name, **options)
    term = MHE(2.0) + regularizers.L2(0.1)
    if order == "regularize first":
        regularize(model, term)
    if order == "lora_rank=":
        fill(layer)
    else:
        adapt(layer, CASES[name].rank)
    if order != "regularize first":
        (row,) = regularize(model, term)
        assert row.done
        assert row.saved is False
        assert row.note == "LoRA: on W + scale * A B"
        assert row.regularizer == "MHE(2) + L2"
    # Weight decay acts on the factors, as Keras has it.
    decay = total(regularizers.L2(0.1)(factor) for factor in factors_of(layer))
    expected = 2.0 * energy_of(layer, name) + decay
    assert total(model.losses) == pytest.approx(expected, rel=1e-4)
    unregularize(model)
    assert model.losses == []


@pytest.mark.parametrize("name", ["square", "EinsumDense", "Embedding"])
def test_training_step(name):
    model, layer = model_of(name)
    regularize(model, MHE(1.0))
    adapt(layer, CASES[name].rank)
    before = merged(layer)
    frozen = ops.convert_to_numpy(layer.weights[0])
    first, second = (ops.convert_to_numpy(f) for f in factors_of(layer))
    loss = fit_once(model, rate=0.5)
    expected = numpy_reference.energy(before, **CASES[name].axes)
    assert loss == pytest.approx(expected, rel=1e-4)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(layer.weights[0]), frozen
    )
    # The gradient of `B` by that of the weight, in two axes.
    slope = numpy_reference.gradient(before, **CASES[name].axes)
    slope = slope.reshape(-1, slope.shape[-1])
    scale = layer.lora_alpha / layer.lora_rank
    np.testing.assert_allclose(
        ops.convert_to_numpy(factors_of(layer)[1]),
        second - 0.5 * scale * first.reshape(-1, first.shape[-1]).T @ slope,
        atol=1e-4,
    )


def test_layers_inside_an_attention_layer():
    inputs = keras.Input((3, 6))
    attention = layers.MultiHeadAttention(2, 4, name="attention")
    model = keras.Model(inputs, attention(inputs, inputs))
    regularize(model, MHE(1.0))
    query = adapt(attention.query_dense)
    attention.key_dense.trainable = False
    attention.value_dense.trainable = False
    attention.output_dense.trainable = False
    expected = numpy_reference.energy(merged(query), neuron_axis=(1, 2))
    assert fit_once(model) == pytest.approx(expected, rel=1e-4)


def test_frozen_weight_that_is_trainable_again():
    model, layer = model_of()
    regularize(model, MHE(1.0))
    adapt(layer)
    model.trainable = False
    model.trainable = True
    assert len(model.trainable_weights) == 4
    assert total(model.losses) == pytest.approx(energy_of(layer), rel=1e-4)


def test_one_factor_that_trains():
    model, layer = model_of()
    regularize(model, MHE(1.0))
    adapt(layer)
    first, second = factors_of(layer)
    first.trainable = False
    assert total(model.losses) == pytest.approx(energy_of(layer), rel=1e-4)
    second.trainable = False
    assert model.losses == []
    (row,) = regularize(model, MHE(1.0))
    assert "frozen" in row.note


def test_half_precision():
    """Gradients too small for float16 reach the factors."""
    model, layer = model_of(dtype="mixed_float16")
    regularize(model, MHE(1e-9))
    adapt(layer)
    before = ops.convert_to_numpy(factors_of(layer)[1])
    dtypes = {ops.dtype(loss) for loss in model.losses}
    assert dtypes == {"float32"}
    fit_once(model, rate=1e7, auto_scale_loss=False)
    change = ops.convert_to_numpy(factors_of(layer)[1]) - before
    assert np.abs(change).max() > 1e-4


def test_shared_layers_and_outputs():
    inputs = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    inner = keras.Sequential([keras.Input((4,)), shared], name="inner")
    last = layers.Dense(3, name="last")
    model = keras.Model(inputs, last(inner(shared(inputs))))
    adapt(shared)
    adapt(last)
    rows = regularize(model, MHE(1.0), output_layer=MHE(10.0))
    assert [(row.done, row.regularizer) for row in rows] == [
        (True, "MHE(1)"),
        (False, "MHE(1)"),
        (True, "MHE(10)"),
    ]
    assert rows[1].note == "shared: see shared"


def test_copies_belong_to_no_layer():
    model, layer = model_of()
    regularize(model, MHE(1.0))
    present = layer.kernel_regularizer
    assert present.layer is layer
    copies = [copy.deepcopy(present), pickle.loads(pickle.dumps(present))]
    copies.append(copy.deepcopy(layer).kernel_regularizer)
    for one in copies:
        assert one.layer is None
        assert one.added.get_config() == present.added.get_config()


def test_regularizers_that_know_nothing_of_neurons():
    model, layer = model_of()
    adapt(layer)
    (row,) = regularize(model, "l2")
    assert (row.note, row.saved) == ("LoRA: on both factors", True)
    expected = total(regularizers.L2()(f) for f in factors_of(layer))
    assert total(model.losses) == pytest.approx(expected, rel=1e-6)


# Given to the layer, which tells its regularizer nothing.


@pytest.fixture
def one_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    messages = [str(one.message) for one in caught]
    found = [message for message in messages if "adds no term" in message]
    assert len(found) == 1, messages


@pytest.mark.parametrize(
    "term",
    [term for term in TERMS.values() if not hasattr(term, "regularizers")]
    + [MHE(1.0, neuron_axis=(1, 2))],
    ids=lambda term: type(term).__name__,
)
@pytest.mark.usefixtures("one_warning")
def test_given_to_the_layer(term):
    model, layer = model_of("square", kernel_regularizer=term)
    adapt(layer, 4)
    assert total(model.losses) == 0.0
    assert total(model.losses) == 0.0


@pytest.mark.parametrize("rank", [None, 4])
@pytest.mark.usefixtures("one_warning")
def test_given_to_the_layer_beside_weight_decay(rank):
    term = MHE(1.0) + regularizers.L2(0.1)
    model, layer = model_of("square", kernel_regularizer=term, lora_rank=rank)
    fill(layer) if rank else adapt(layer, 4)
    decay = total(regularizers.L2(0.1)(factor) for factor in factors_of(layer))
    assert fit_once(model) == pytest.approx(decay, rel=1e-4)
    # A second step finds its functions compiled.
    x = np.ones((2, 4))
    history = model.fit(x, np.zeros((2, 1)), epochs=2, verbose=0).history
    assert history["loss"] == pytest.approx([decay] * 2, rel=1e-4)


def test_given_to_the_layer_and_told():
    model, layer = model_of(kernel_regularizer=MHE(1.0))
    adapt(layer)
    other = layers.Dense(3, name="other")
    model = keras.Model(model.inputs, other(model.output))
    row, _ = regularize(model, "l2", layers=["other"])
    assert row.note == "left out; LoRA: MHE(1) without effect"
    # Known to the layer, it acts as before.
    row, _ = regularize(model, Separation(1.0), layers=["layer"])
    assert row.regularizer == "MHE(1) + Separation(1)"
    expected = energy_of(layer) + as_float(Separation(1.0)(merged(layer)))
    assert total(layer.losses) == pytest.approx(expected, rel=1e-4)
    row, _ = unregularize(model)
    assert row.note == "LoRA: MHE(1) without effect"


@pytest.mark.usefixtures("one_warning")
def test_saved_and_loaded(tmp_path):
    model, layer = model_of()
    regularize(model, MHE(1.0) + regularizers.L2(0.1))
    adapt(layer)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    twin = loaded.get_layer("layer")
    # Keras has merged the factors, and begins anew with zeros.
    assert total(loaded.losses) == 0.0
    np.testing.assert_allclose(merged(twin), merged(layer), rtol=1e-5)
    fill(twin)
    decay = total(regularizers.L2(0.1)(factor) for factor in factors_of(twin))
    assert fit_once(loaded) == pytest.approx(decay, rel=1e-4)
    (row,) = regularize(loaded, MHE(1.0))
    assert row.note == "replaced MHE(1) + L2; LoRA: on W + scale * A B"
    assert fit_once(loaded) == pytest.approx(energy_of(twin), rel=1e-4)


# Quantized.


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("Dense", "LoRA first"),
        ("EinsumDense", "LoRA first"),
        ("EinsumDense by group", "quantize first"),
        ("Embedding", "quantize first"),
    ],
)
def test_int8(name, order):
    model, layer = model_of(name)
    regularize(model, MHE(1.0))
    if order == "LoRA first":
        adapt(layer)
    (audited,) = keras_mhe.audit(model)
    kernel = merged(layer) if order == "LoRA first" else stored(layer)
    expected = numpy_reference.energy(kernel, **CASES[name].axes)
    assert audited.energy == pytest.approx(expected, rel=1e-5)
    layer.quantize("int8")
    (row,) = keras_mhe.audit(model)
    assert row.energy == pytest.approx(audited.energy, rel=0.03)
    if order == "quantize first":
        assert model.losses == []
        adapt(layer)
        first, second = (ops.convert_to_numpy(f) for f in factors_of(layer))
        kernel = kernel + layer.lora_alpha / layer.lora_rank * first @ second
    # Not exactly: the weight has steps of 1/127 of its largest entry.
    expected = numpy_reference.energy(kernel, **CASES[name].axes)
    assert total(model.losses) == pytest.approx(expected, rel=0.03)
    (row,) = keras_mhe.audit(model)
    assert row.energy == pytest.approx(total(model.losses), rel=1e-4)
    (row,) = regularize(model, MHE(3.0))
    assert row.note == "replaced MHE(1); LoRA: on W + scale * A B"
    assert fit_once(model) == pytest.approx(3.0 * expected, rel=0.03)


def stored(layer):
    return ops.convert_to_numpy(layer.weights[0])


@pytest.mark.usefixtures("one_warning")
def test_packed_weights():
    model, layer = model_of()
    regularize(model, MHE(1.0) + regularizers.L2(0.1))
    adapt(layer)
    layer.quantize("int4")
    decay = total(regularizers.L2(0.1)(factor) for factor in factors_of(layer))
    assert fit_once(model) == pytest.approx(decay, rel=1e-4)
    with pytest.raises(ValueError, match=r"layer: quantized \(int4\)"):
        regularize(model, MHE(1.0))
    other = layers.Dense(3, name="other")
    model = keras.Model(model.inputs, other(model.output))
    row, _ = regularize(model, MHE(1.0))
    assert row.note == "quantized (int4); LoRA: MHE(1) without effect"
    audit = keras_mhe.audit(model)
    assert [row.layer for row in audit] == ["other"]
    assert str(audit).endswith("neurons are not known: layer.")
    unregularize(model)
    assert model.losses == []


# A training loop of one's own.


@pytest.mark.parametrize("by", ["regularize", "layer"])
def test_stateless_losses(by):
    given = by == "layer"
    model, layer = model_of(
        "square", **({"kernel_regularizer": MHE(1.0)} if given else {})
    )
    if not given:
        regularize(model, MHE(1.0))
    adapt(layer, 4)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore" if given else "error", "MHE adds")
        seen = total(model.losses)  # A regularizer of the layer needs this.
        *_, losses = model.stateless_call(
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
            np.ones((2, 4), "float32"),
            return_losses=True,
        )
    assert total(losses) == pytest.approx(seen)
    expected = 0.0 if given else energy_of(layer, "square")
    assert seen == pytest.approx(expected, rel=1e-4)

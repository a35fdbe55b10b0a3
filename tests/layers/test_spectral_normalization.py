"""`SpectralNormalization` by itself: values, vectors, saving, folding."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_mhe
from keras_mhe import MHE
from keras_mhe.layers import SpectralNormalization, held_singular_vectors
from support import numpy_reference
from support.gradients import replaced, value_and_grad, with_float64
from support.numpy_reference import neuron_matrix, power_iterated
from support.tensors import (
    as_array,
    as_float,
    assert_near,
    assert_same_weights,
    dtype_of,
    random_array,
    rounded,
    weights_of,
)

SEPARABLE = {"depthwise_kernel": (-2, -1), "pointwise_kernel": -1}
BOTH = {"cell.kernel": -1, "cell.recurrent_kernel": -1}

#: A layer, its input's shape without the batch, and the axes of its kernels.
#: Every kind of layer is in `tests/analysis/test_kernels.py`.
CASES = {
    "Dense": (lambda: layers.Dense(5), (4,), {"kernel": -1}),
    "one unit": (lambda: layers.Dense(1), (4,), {"kernel": -1}),
    "Conv2D": (
        lambda: layers.Conv2D(5, 3, activation="relu"),
        (5, 5, 2),
        {"kernel": -1},
    ),
    "grouped Conv2D": (
        lambda: layers.Conv2D(6, 2, groups=2),
        (4, 4, 4),
        {"kernel": -1},
    ),
    "Conv2DTranspose": (
        lambda: layers.Conv2DTranspose(4, 3),
        (3, 3, 2),
        {"kernel": -2},
    ),
    "DepthwiseConv2D": (
        lambda: layers.DepthwiseConv2D(2, depth_multiplier=3),
        (4, 4, 2),
        {"kernel": (-2, -1)},
    ),
    "SeparableConv2D": (
        lambda: layers.SeparableConv2D(5, 2),
        (4, 4, 2),
        SEPARABLE,
    ),
    "LSTM": (lambda: layers.LSTM(3), (4, 2), {"cell.kernel": -1}),
    "LSTM, both kernels": (lambda: layers.LSTM(3), (4, 2), BOTH),
    "EinsumDense": (
        lambda: layers.EinsumDense("ab,bcd->acd", (2, 3)),
        (4,),
        {"kernel": (1, 2)},
    ),
}
#: Those that the wrapper is told.
TOLD = {"LSTM, both kernels": BOTH}
each_case = pytest.mark.parametrize("case", CASES)


def built(case, **options):
    make, shape, kernels = CASES[case]
    layer = SpectralNormalization(make(), kernels=TOLD.get(case), **options)
    inputs = random_array(3, *shape)
    layer(inputs)
    return layer, inputs, kernels


def weight(layer, path):
    for name in path.split("."):
        layer = getattr(layer, name)
    return layer


def dense(kernel, **options):
    """A wrapped and built layer with a kernel."""
    kernel = np.asarray(kernel, "float32")
    layer = SpectralNormalization(
        layers.Dense(kernel.shape[1], use_bias=False), **options
    )
    layer.build((None, kernel.shape[0]))
    layer.layer.kernel.assign(kernel)
    return layer


# Values.


@each_case
def test_vectors_move_by_power_iteration_and_kernels_have_norm_one(case):
    layer, inputs, kernels = built(case, power_iterations=2)
    raw = weights_of(layer.layer)
    matrices = [
        neuron_matrix(as_array(weight(layer.layer, path)), axis)
        for path, axis in kernels.items()
    ]
    # They start near the singular ones.
    for axis, normalized in zip(
        kernels.values(), layer.normalized_kernels(), strict=True
    ):
        norm = np.linalg.norm(neuron_matrix(as_array(normalized), axis), 2)
        assert 1.0 - 1e-5 <= norm < 1.2

    starts = weights_of(layer.vectors_u)
    layer(inputs, training=True)
    for u, v, start, matrix in zip(
        layer.vectors_u, layer.vectors_v, starts, matrices, strict=True
    ):
        expected_u, expected_v = power_iterated(matrix, start, 2)
        np.testing.assert_allclose(as_array(u), expected_u, atol=1e-5)
        np.testing.assert_allclose(as_array(v), expected_v, atol=1e-5)

    layer.converge(300)
    plain = CASES[case][0]()
    plain(inputs)
    for new, old in zip(plain.weights, raw, strict=True):
        new.assign(old)
    for path, matrix in zip(kernels, matrices, strict=True):
        kernel = weight(plain, path)
        kernel.assign(as_array(kernel) / np.linalg.norm(matrix, 2))
    np.testing.assert_allclose(
        as_array(layer(inputs)), as_array(plain(inputs)), atol=2e-4
    )
    assert_same_weights(layer.layer, raw)


def test_layers_start_with_different_vectors():
    def start():
        return as_array(dense(np.eye(5)).vectors_u[0])

    keras.utils.set_random_seed(0)
    first, second = start(), start()
    assert not np.allclose(first, second)
    keras.utils.set_random_seed(0)
    np.testing.assert_array_equal(first, start())


def test_embedding(tmp_path):
    layer = SpectralNormalization(layers.Embedding(7, 3, mask_zero=True))
    tokens = np.array([[0, 2, 6]])
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layer])
    layer.converge(300)
    table = as_array(layer.layer.embeddings)
    expected = (table / np.linalg.norm(table, 2))[tokens]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for function in (layer, layer.fold(), loaded):
        np.testing.assert_allclose(
            as_array(function(tokens)), expected, rtol=1e-4
        )
    np.testing.assert_array_equal(
        as_array(layer.compute_mask(tokens, None)), tokens != 0
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_of_a_short_kernel_meet_in_float32(dtype):
    kernel = random_array(8, 1) * random_array(5, seed=1)
    kernel += 0.03 * random_array(8, 5, seed=2)  # So that they nearly cancel.
    kernel = rounded(kernel, dtype)
    gradients = []
    for computed in ("float32", dtype):
        layer = SpectralNormalization(layers.Dense(5, dtype=computed))
        layer.build((None, 8))
        layer.layer.kernel.assign(ops.cast(kernel, computed))
        layer.converge(20)

        def loss(w, layer=layer):
            with replaced(layer, layer.layer.kernel, w):
                (normalized,) = layer.normalized_kernels()
            normalized = ops.cast(normalized, "float32")
            return ops.sum(ops.multiply(normalized, kernel))

        gradients.append(value_and_grad(loss, kernel, dtype=computed).gradient)
    assert_near(gradients[1], gradients[0], 0.01)


@pytest.mark.parametrize("through", [False, True])
def test_gradient_of_a_call_that_moves_the_vectors(through):
    kernel, images = random_array(4, 5), random_array(3, 4)
    start = random_array(5, seed=1)
    start /= np.linalg.norm(start)
    layer = dense(kernel, differentiate_vectors=through)
    layer.vectors_u[0].assign(start)

    def loss(w):
        with replaced(layer, layer.layer.kernel, w):
            return ops.sum(layer(images, training=True) ** 2)

    def definition(w):
        u, v = power_iterated(w if through else kernel, start, 1)
        return np.sum((images @ (w / (v @ w @ u))) ** 2)

    expected = numpy_reference.differences(definition, kernel, 1e-5)
    assert_near(value_and_grad(loss, kernel).gradient, expected, 1e-4)


# When vectors move.


def moves(layer):
    """Whether a step of training moves the vectors."""
    before = as_array(layer.vectors_u[0])
    layer(random_array(3, 4), training=True)
    return not np.array_equal(before, as_array(layer.vectors_u[0]))


def test_held_vectors_rest_and_give_the_same_weights():
    layer, inputs = dense(random_array(4, 5)), random_array(3, 4)
    generated = as_array(layer(inputs, training=True))
    state = weights_of(layer)
    with held_singular_vectors():
        with held_singular_vectors():
            real = as_array(layer(inputs, training=True))
        layer(inputs, training=True)
    np.testing.assert_allclose(real, generated, rtol=1e-6)
    with pytest.raises(RuntimeError), held_singular_vectors():
        raise RuntimeError
    assert_same_weights(layer, state)
    assert moves(layer)


@pytest.mark.parametrize("frozen", ["wrapper", "wrapped"])
def test_vectors_rest_in_a_layer_that_is_not_trainable(frozen):
    layer = dense(random_array(4, 5))
    (layer if frozen == "wrapper" else layer.layer).trainable = False
    assert not moves(layer)
    assert layer.trainable_weights == []


def test_weights():
    layer, _, _ = built("LSTM, both kernels")
    assert [w.path.split("/")[-1] for w in layer.non_trainable_weights] == [
        "cell_kernel_u",
        "cell_kernel_v",
        "cell_recurrent_kernel_u",
        "cell_recurrent_kernel_v",
    ]
    assert len(layer.trainable_weights) == len(layer.layer.weights) == 3


# Kernels without a norm, or with a lost vector.


def test_a_vector_that_the_kernel_does_not_see_is_found_again():
    layer = dense([[3.0, 0.0], [0.0, 0.0]])
    layer.vectors_u[0].assign(np.array([0.0, 1.0]))
    outputs = layer(np.ones((1, 2), "float32"), training=True)
    np.testing.assert_allclose(as_array(outputs), [[1.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_a_kernel_of_zeros(training):
    layer = dense(np.zeros((3, 2)))
    start = as_array(layer.vectors_u[0])
    outputs = layer(np.ones((1, 3), "float32"), training=training)
    np.testing.assert_array_equal(as_array(outputs), np.zeros((1, 2)))
    np.testing.assert_allclose(as_array(layer.vectors_u[0]), start, rtol=1e-6)
    # It recovers when the kernel does.
    layer.layer.kernel.assign(4.0 * np.eye(3, 2))
    outputs = layer(np.ones((1, 3), "float32"), training=True)
    assert np.isfinite(as_array(outputs)).all()
    assert as_array(outputs).max() > 0.5


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (np.diag([2e-30, 1e-30]), np.diag([1.0, 0.5])),
        (np.diag([2e30, 1e30]), np.diag([1.0, 0.5])),
        # Its first singular vector is orthogonal to that of the old kernel.
        (np.diag([1.0, -5.0]), np.diag([0.2, -1.0])),
    ],
    ids=["tiny", "huge", "turned"],
)
def test_a_replaced_kernel_needs_converge(kernel, expected):
    layer = dense(np.diag([3.0, 1.0]))
    layer.converge()
    layer.layer.kernel.assign(kernel)
    layer.converge()
    (normalized,) = layer.normalized_kernels()
    np.testing.assert_allclose(as_array(normalized), expected, atol=1e-5)


# Losses and state of the wrapped layer.


def test_activity_regularizer_counts_once():
    wrapped = layers.Dense(
        2, use_bias=False, activity_regularizer=keras.regularizers.L2(1.0)
    )
    inputs = keras.Input((2,))
    layer = SpectralNormalization(wrapped)
    model = keras.Model(inputs, layer(inputs))
    wrapped.kernel.assign(3.0 * np.eye(2))
    layer.converge()
    model.compile("sgd", loss=None)
    images = np.ones((4, 2), "float32")
    # Outputs of 1: a sum of squares of 2 for each sample.
    loss = model.evaluate(images, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(loss, 2.0, rtol=1e-4)


def test_state_of_the_wrapped_layer_is_kept():
    class Counting(layers.Dense):
        def build(self, input_shape):
            super().build(input_shape)
            self.calls = self.add_weight(
                shape=(), initializer="zeros", trainable=False
            )
            self.dropout = layers.Dropout(0.5)

        def call(self, inputs):
            self.calls.assign(self.calls + 1.0)
            return self.dropout(super().call(inputs))

    layer = SpectralNormalization(Counting(20))
    images = np.ones((1, 4), "float32")
    first = as_array(layer(images, training=True))
    second = as_array(layer(images, training=True))
    assert as_float(layer.layer.calls) == 2.0
    # Another mask: the state of the random numbers is kept too.
    assert np.any((first == 0.0) != (second == 0.0))


class Noisy(layers.Dense):
    def call(self, inputs):
        return super().call(inputs) + keras.random.normal((1,))


def test_state_that_is_not_the_wrapped_layers_own():
    keras.random.normal((1,))
    layer = SpectralNormalization(Noisy(2))
    with pytest.raises(ValueError, match="changed a variable that is not its"):
        layer(np.ones((1, 3), "float32"))


@pytest.mark.parametrize("change", ["quantize", "enable_lora"])
def test_kernels_that_are_no_longer_floats(change):
    layer, inputs, _ = built("Dense")
    if change == "quantize":
        layer.layer.quantize("int8")
    else:
        layer.layer.enable_lora(2)
    with pytest.raises(ValueError, match="must be a float variable"):
        layer(inputs)


# Saving, folding, configuration.


@each_case
def test_save_load_and_fold(case, tmp_path):
    layer, inputs, _ = built(case)
    for _ in range(2):
        layer(inputs, training=True)
    model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
    model.save(tmp_path / "model.keras")
    (restored,) = keras.models.load_model(tmp_path / "model.keras").layers
    assert_same_weights(restored, layer)
    assert restored.kernels == layer.kernels
    assert restored.layer.get_config() == layer.layer.get_config()
    # Training goes on alike.
    trained = as_array(layer(inputs, training=True))
    np.testing.assert_allclose(
        as_array(restored(inputs, training=True)), trained, rtol=1e-5, atol=1e-6
    )
    folded = layer.fold()
    assert type(folded) is type(layer.layer)
    assert folded is not layer.layer
    assert folded.name == layer.layer.name
    np.testing.assert_allclose(
        as_array(folded(inputs)), as_array(layer(inputs)), atol=1e-6
    )


def test_a_folded_layer_is_plain(tmp_path):
    options = {
        "kernel_regularizer": MHE(1.0),
        "kernel_constraint": keras_mhe.constraints.SpectralNorm(3.0),
    }
    layer = SpectralNormalization(layers.Conv2D(4, 3, **options))
    inputs = random_array(2, 5, 5, 3)
    layer(inputs)
    folded = layer.fold()
    assert folded.losses == []
    assert folded.kernel.constraint is None
    assert layer.layer.kernel_regularizer is options["kernel_regularizer"]
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((5, 5, 3)), folded]).save(path)
    np.save(tmp_path / "inputs.npy", inputs)
    # A process without this library.
    program = (
        "import sys\n"
        "sys.modules['keras_mhe'] = None\n"
        "import keras, numpy as np\n"
        f"model = keras.models.load_model({str(path)!r})\n"
        f"inputs = np.load({str(tmp_path / 'inputs.npy')!r})\n"
        f"np.save({str(tmp_path / 'outputs.npy')!r},"
        " model.predict(inputs, verbose=0))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    np.testing.assert_allclose(
        np.load(tmp_path / "outputs.npy"), as_array(layer(inputs)), atol=1e-5
    )


@pytest.mark.parametrize("method", ["fold", "converge", "normalized_kernels"])
def test_methods_that_need_weights(method):
    layer = SpectralNormalization(layers.Dense(3))
    with pytest.raises(ValueError, match="no weights before it is built"):
        getattr(layer, method)()


@pytest.mark.parametrize("kernels", [None, {"kernel": -1}, {"kernel": (1,)}])
def test_configuration(kernels):
    layer = SpectralNormalization(
        layers.Dense(3, dtype="mixed_float16"),
        3,
        kernels=kernels,
        differentiate_vectors=True,
        name="normalized",
    )
    config = layer.get_config()
    assert json.loads(json.dumps(config)) == config
    restored = SpectralNormalization.from_config(json.loads(json.dumps(config)))
    assert restored.get_config() == config
    assert restored.power_iterations == 3
    assert restored.differentiate_vectors is True
    assert restored.name == "normalized"
    assert restored.layer.dtype_policy.name == "mixed_float16"


# Errors.


KERAS_2 = type("Dense", (), {"__module__": "tf_keras.src.layers"})()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"power_iterations": 0}, "`power_iterations` must be an int"),
        ({"dtype": "float16"}, "`dtype` is that of the wrapped"),
        ({"layer": KERAS_2}, "`layer` must be made by Keras 3"),
        ({"layer": "dense"}, "Wrapper"),
        ({"differentiate_vectors": 1}, "`differentiate_vectors` must be"),
        ({"kernels": {}}, "`kernels` must be a dictionary"),
        ({"kernels": ["kernel"]}, "`kernels` must be a dictionary"),
        ({"kernels": {1: -1}}, "`kernels` must be a dictionary"),
        ({"kernels": {"kernel": 0.5}}, r"`kernels\['kernel'\]` must be"),
        ({"kernels": {"weights_": -1}}, "must name weights of the wrapped"),
        ({"kernels": {"kernel": 2}}, r"`kernels\['kernel'\]` must be in"),
        ({"kernels": {"bias": 0}}, "`weights` must have rank 2"),
        ({"kernels": {"kernel": -1, "_kernel": 0}}, "each kernel once"),
        (
            {"layer": layers.LayerNormalization()},
            "must name the kernels of a Layer",
        ),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpectralNormalization(**{"layer": layers.Dense(3), **arguments}).build(
            (None, 4)
        )


def test_masks_reach_the_wrapped_layer():
    layer = SpectralNormalization(layers.LSTM(3))
    inputs = random_array(2, 5, 4)
    mask = np.array([[True] * 5, [True] * 2 + [False] * 3])
    masked = as_array(layer(inputs, mask=mask))
    short = as_array(layer(inputs[1:, :2]))
    np.testing.assert_allclose(masked[1:], short, atol=1e-6)
    assert not np.allclose(masked[1:], as_array(layer(inputs[1:])))


def test_float64():
    with with_float64():
        layer = SpectralNormalization(layers.Dense(3, dtype="float64"))
        layer(random_array(2, 4))
        layer.converge(500)
        (kernel,) = layer.normalized_kernels()
        assert dtype_of(kernel) == "float64"
        norm = np.linalg.norm(as_array(kernel), 2)
    assert norm == pytest.approx(1.0, rel=1e-12)

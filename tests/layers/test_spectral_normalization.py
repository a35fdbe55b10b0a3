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
from support.gradients import value_and_grad
from support.tensors import as_float, total

RNG = np.random.default_rng(0)
BOTH = {"cell.kernel": -1, "cell.recurrent_kernel": -1}

#: A layer, its input's shape without the batch, options of the wrapper, and
#: for each kernel its attribute and neuron axis.
CASES = {
    "Dense": (lambda: layers.Dense(5), (4,), {}, [("kernel", -1)]),
    "Conv1D": (lambda: layers.Conv1D(5, 3), (6, 2), {}, [("kernel", -1)]),
    "Conv2D": (
        lambda: layers.Conv2D(5, 3, activation="relu"),
        (5, 5, 2),
        {},
        [("kernel", -1)],
    ),
    "Conv3D": (
        lambda: layers.Conv3D(3, 2),
        (3, 3, 3, 2),
        {},
        [("kernel", -1)],
    ),
    "grouped Conv2D": (
        lambda: layers.Conv2D(6, 2, groups=2),
        (4, 4, 4),
        {},
        [("kernel", -1)],
    ),
    "Conv2DTranspose": (
        lambda: layers.Conv2DTranspose(4, 3),
        (3, 3, 2),
        {},
        [("kernel", -2)],
    ),
    "DepthwiseConv2D": (
        lambda: layers.DepthwiseConv2D(2, depth_multiplier=3),
        (4, 4, 2),
        {},
        [("kernel", (-2, -1))],
    ),
    "SeparableConv2D": (
        lambda: layers.SeparableConv2D(5, 2),
        (4, 4, 2),
        {},
        [("depthwise_kernel", (-2, -1)), ("pointwise_kernel", -1)],
    ),
    "Conv1DTranspose": (
        lambda: layers.Conv1DTranspose(4, 3),
        (3, 2),
        {},
        [("kernel", -2)],
    ),
    "Conv3DTranspose": (
        lambda: layers.Conv3DTranspose(2, 2),
        (2, 2, 2, 3),
        {},
        [("kernel", -2)],
    ),
    "DepthwiseConv1D": (
        lambda: layers.DepthwiseConv1D(2, depth_multiplier=2),
        (4, 3),
        {},
        [("kernel", (-2, -1))],
    ),
    "SeparableConv1D": (
        lambda: layers.SeparableConv1D(5, 2),
        (4, 2),
        {},
        [("depthwise_kernel", (-2, -1)), ("pointwise_kernel", -1)],
    ),
    "GRU": (lambda: layers.GRU(3), (4, 2), {}, [("cell.kernel", -1)]),
    "SimpleRNN": (
        lambda: layers.SimpleRNN(3),
        (4, 2),
        {},
        [("cell.kernel", -1)],
    ),
    "LSTM": (lambda: layers.LSTM(3), (4, 2), {}, [("cell.kernel", -1)]),
    "LSTM, both kernels": (
        lambda: layers.LSTM(3),
        (4, 2),
        {"kernels": BOTH},
        [("cell.kernel", -1), ("cell.recurrent_kernel", -1)],
    ),
    "EinsumDense": (
        lambda: layers.EinsumDense("ab,bcd->acd", (2, 3)),
        (4,),
        {"kernels": {"kernel": (1, 2)}},
        [("kernel", (1, 2))],
    ),
    "EinsumDense, known": (
        lambda: layers.EinsumDense("ab,bcd->acd", (2, 3)),
        (4,),
        {},
        [("kernel", (1, 2))],
    ),
    "one unit": (lambda: layers.Dense(1), (4,), {}, [("kernel", -1)]),
}
each_case = pytest.mark.parametrize("case", CASES)


def built(case, **options):
    make, shape, wrapper, kernels = CASES[case]
    layer = SpectralNormalization(make(), **wrapper, **options)
    inputs = RNG.normal(size=(3, *shape)).astype("float32")
    layer(inputs)
    return layer, inputs, kernels


def as_array(tensor):
    return ops.convert_to_numpy(tensor)


def weight(layer, path):
    for name in path.split("."):
        layer = getattr(layer, name)
    return layer


def as_matrix(kernel, axis):
    axes = [a % kernel.ndim for a in np.atleast_1d(axis)]
    order = [k for k in range(kernel.ndim) if k not in axes] + axes
    count = int(np.prod([kernel.shape[a] for a in axes]))
    return np.transpose(kernel, order).reshape(-1, count).astype("float64")


def dense(kernel, **options):
    kernel = np.asarray(kernel, "float32")
    layer = layers.Dense(kernel.shape[1], use_bias=False)
    layer.build((None, kernel.shape[0]))
    layer.kernel.assign(kernel)
    return SpectralNormalization(layer, **options)


# Values.


@each_case
def test_computes_with_kernels_of_norm_one(case):
    layer, inputs, kernels = built(case)
    layer.converge(300)
    raw = {path: as_array(weight(layer.layer, path)) for path, _ in kernels}
    plain = CASES[case][0]()
    plain(inputs)
    for new, old in zip(plain.weights, layer.layer.weights, strict=True):
        new.assign(old)
    for path, axis in kernels:
        norm = np.linalg.norm(as_matrix(raw[path], axis), 2)
        weight(plain, path).assign(raw[path] / norm)
    np.testing.assert_allclose(
        as_array(layer(inputs)), as_array(plain(inputs)), atol=2e-4
    )
    for path, _ in kernels:
        np.testing.assert_array_equal(
            as_array(weight(layer.layer, path)), raw[path]
        )


@each_case
def test_training_moves_by_power_iteration(case):
    layer, inputs, kernels = built(case, power_iterations=2)
    before = [as_array(u) for u in layer.vectors_u]
    raw = [as_array(weight(layer.layer, path)) for path, _ in kernels]
    layer(inputs, training=True)
    for u, v, start, kernel, (_, axis) in zip(
        layer.vectors_u, layer.vectors_v, before, raw, kernels, strict=True
    ):
        matrix = as_matrix(kernel, axis)
        expected = start.astype("float64")
        for _ in range(2):
            left = matrix @ expected
            left /= np.linalg.norm(left)
            expected = matrix.T @ left
            expected /= np.linalg.norm(expected)
        np.testing.assert_allclose(as_array(u), expected, atol=1e-5)
        np.testing.assert_allclose(as_array(v), left, atol=1e-5)


@each_case
def test_vectors_start_near_the_singular_ones(case):
    layer, _, kernels = built(case)
    for (path, axis), normalized in zip(
        kernels, layer.normalized_kernels(), strict=True
    ):
        del path
        norm = np.linalg.norm(as_matrix(as_array(normalized), axis), 2)
        assert 1.0 - 1e-5 <= norm < 1.2


def test_layers_start_with_different_vectors():
    def start():
        layer = dense(np.eye(5))
        layer.build((None, 5))
        return as_array(layer.vectors_u[0])

    keras.utils.set_random_seed(0)
    first, second = start(), start()
    assert not np.allclose(first, second)
    keras.utils.set_random_seed(0)
    np.testing.assert_array_equal(first, start())


def test_embedding():
    layer = SpectralNormalization(layers.Embedding(7, 3, mask_zero=True))
    tokens = np.array([[0, 2, 6]])
    rows = layer(tokens)
    layer.converge(300)
    table = as_array(layer.layer.embeddings)
    np.testing.assert_allclose(
        as_array(layer(tokens)),
        (table / np.linalg.norm(table, 2))[tokens],
        rtol=1e-4,
    )
    np.testing.assert_array_equal(
        as_array(layer.compute_mask(tokens, None)), tokens != 0
    )
    assert keras.tree.flatten(rows)[0].shape == (1, 3, 3)


def test_gradient_by_the_raw_kernel():
    kernel = RNG.normal(size=(4, 5)).astype("float32")
    probe = RNG.normal(size=(4, 5)).astype("float32")
    layer = dense(kernel)
    layer.build((None, 4))
    layer.converge(500)

    def loss(w):
        scope = keras.StatelessScope([(layer.layer.kernel, w)])
        with scope:
            (normalized,) = layer.normalized_kernels()
        return ops.sum(normalized * ops.convert_to_tensor(probe))

    gradient = value_and_grad(loss, kernel).gradient
    left, values, right = np.linalg.svd(kernel.astype("float64"))
    # d(W/s) = dW/s - W (v^T dW u) / s**2
    expected = probe / values[0] - np.sum(kernel * probe) / values[
        0
    ] ** 2 * np.outer(left[:, 0], right[0])
    np.testing.assert_allclose(gradient, expected, atol=2e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_of_a_short_kernel_meet_in_float32(dtype):
    kernel = np.outer(RNG.normal(size=8), RNG.normal(size=5))
    kernel += 0.03 * RNG.normal(size=(8, 5))  # So that they nearly cancel.
    kernel = as_array(ops.cast(ops.cast(kernel, dtype), "float32"))
    gradients = []
    for computed in ("float32", dtype):
        layer = SpectralNormalization(layers.Dense(5, dtype=computed))
        layer.build((None, 8))
        layer.layer.kernel.assign(ops.cast(kernel, computed))
        layer.converge(20)

        def loss(w, layer=layer):
            with keras.StatelessScope([(layer.layer.kernel, w)]):
                (normalized,) = layer.normalized_kernels()
            return ops.sum(
                ops.multiply(ops.cast(normalized, "float32"), kernel)
            )

        gradients.append(value_and_grad(loss, kernel, dtype=computed).gradient)
    largest = np.abs(gradients[0]).max()
    np.testing.assert_allclose(gradients[1], gradients[0], atol=0.01 * largest)


# When vectors move.


def test_vectors_rest_at_inference():
    layer, inputs, _ = built("Conv2D")
    state = [as_array(w) for w in layer.weights]
    first = as_array(layer(inputs))
    for _ in range(3):
        np.testing.assert_array_equal(as_array(layer(inputs)), first)
        layer(inputs, training=False)
    for before, after in zip(state, layer.weights, strict=True):
        np.testing.assert_array_equal(before, as_array(after))


def test_held_vectors_rest_and_give_the_same_weights():
    layer, inputs, _ = built("Dense")
    layer.layer.kernel.assign(RNG.normal(size=(4, 5)))
    generated = as_array(layer(inputs, training=True))
    state = [as_array(w) for w in layer.weights]
    with held_singular_vectors():
        with held_singular_vectors():
            real = as_array(layer(inputs, training=True))
        layer(inputs, training=True)
    np.testing.assert_allclose(real, generated, rtol=1e-6)
    for before, after in zip(state, layer.weights, strict=True):
        np.testing.assert_array_equal(before, as_array(after))
    layer(inputs, training=True)
    assert not np.array_equal(state[2], as_array(layer.vectors_u[0]))


def test_vectors_move_again_after_an_error():
    layer, inputs, _ = built("Dense")
    layer.layer.kernel.assign(RNG.normal(size=(4, 5)))
    with pytest.raises(RuntimeError), held_singular_vectors():
        raise RuntimeError
    before = as_array(layer.vectors_u[0])
    layer(inputs, training=True)
    assert not np.array_equal(before, as_array(layer.vectors_u[0]))


def test_vectors_rest_in_a_layer_that_is_not_trainable():
    layer, inputs, _ = built("Dense")
    layer.layer.kernel.assign(RNG.normal(size=(4, 5)))
    before = as_array(layer.vectors_u[0])
    layer.trainable = False
    layer(inputs, training=True)
    np.testing.assert_array_equal(before, as_array(layer.vectors_u[0]))
    assert layer.trainable_weights == []


def test_vectors_rest_if_the_wrapped_layer_is_not_trainable():
    layer, inputs, _ = built("Dense")
    layer.layer.kernel.assign(RNG.normal(size=(4, 5)))
    before = as_array(layer.vectors_u[0])
    layer.layer.trainable = False
    layer(inputs, training=True)
    np.testing.assert_array_equal(before, as_array(layer.vectors_u[0]))


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
    layer.build((None, 2))
    layer.vectors_u[0].assign(np.array([0.0, 1.0]))
    outputs = layer(np.ones((1, 2), "float32"), training=True)
    np.testing.assert_allclose(as_array(outputs), [[1.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_a_kernel_of_zeros(training):
    layer = dense(np.zeros((3, 2)))
    layer(np.ones((1, 3), "float32"))
    start = as_array(layer.vectors_u[0])
    outputs = layer(np.ones((1, 3), "float32"), training=training)
    np.testing.assert_array_equal(as_array(outputs), np.zeros((1, 2)))
    np.testing.assert_allclose(as_array(layer.vectors_u[0]), start, rtol=1e-6)
    # It recovers when the kernel does.
    layer.layer.kernel.assign(4.0 * np.eye(3, 2))
    outputs = layer(np.ones((1, 3), "float32"), training=True)
    assert np.isfinite(as_array(outputs)).all()
    assert as_array(outputs).max() > 0.5


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_kernels(scale):
    layer = dense(np.diag([2.0 * scale, scale]))
    layer.build((None, 2))
    layer.converge()
    (normalized,) = layer.normalized_kernels()
    np.testing.assert_allclose(
        as_array(normalized), np.diag([1.0, 0.5]), rtol=1e-5, atol=1e-6
    )


def test_a_replaced_kernel_needs_converge():
    layer = dense(np.diag([3.0, 1.0]))
    layer.build((None, 2))
    layer.converge()
    # Its first singular vector is orthogonal to that of the old kernel.
    layer.layer.kernel.assign(np.diag([1.0, -5.0]))
    layer.converge()
    (normalized,) = layer.normalized_kernels()
    np.testing.assert_allclose(
        as_array(normalized), np.diag([0.2, -1.0]), atol=1e-6
    )


@pytest.mark.parametrize("through", [False, True])
def test_gradient_of_a_call_that_moves_the_vectors(through):
    kernel = RNG.normal(size=(4, 5)).astype("float32")
    images = RNG.normal(size=(3, 4)).astype("float32")
    start = RNG.normal(size=5)
    start = (start / np.linalg.norm(start)).astype("float32")
    layer = dense(kernel, differentiate_vectors=through)
    layer.build((None, 4))
    layer.vectors_u[0].assign(start)
    values = {id(v): v.value for v in layer.variables}
    raw = layer.layer.kernel

    def loss(w):
        mapping = [
            (v, w if v is raw else values[id(v)]) for v in layer.variables
        ]
        with keras.StatelessScope(mapping):
            return ops.sum(layer(images, training=True) ** 2)

    def of_sigma(w, u, v):
        return np.sum((images @ (w / (v @ w @ u))) ** 2)

    def vectors(w):
        v = w @ start
        v = v / np.linalg.norm(v)
        u = w.T @ v
        return u / np.linalg.norm(u), v

    wide = kernel.astype("float64")
    constant = vectors(wide)
    expected = np.zeros((4, 5))
    for index in np.ndindex(4, 5):
        for sign in (1.0, -1.0):
            shifted = wide.copy()
            shifted[index] += sign * 1e-5
            uv = vectors(shifted) if through else constant
            expected[index] += sign * of_sigma(shifted, *uv) / 2e-5
    gradient = value_and_grad(loss, kernel).gradient
    np.testing.assert_allclose(
        gradient, expected, atol=1e-4 * np.abs(expected).max()
    )


# Losses and state of the wrapped layer.


def test_regularizers_see_the_raw_kernel():
    wrapped = layers.Dense(
        5,
        kernel_regularizer=MHE(2.0, power=0) + keras.regularizers.L2(0.5),
    )
    layer = SpectralNormalization(wrapped)
    layer(np.ones((2, 4), "float32"), training=True)
    kernel = as_array(wrapped.kernel)
    expected = 2.0 * numpy_reference.energy(kernel, power=0) + 0.5 * np.sum(
        kernel.astype("float64") ** 2
    )
    np.testing.assert_allclose(total(layer.losses), expected, rtol=1e-5)


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


def test_an_embedding_is_saved_and_folded(tmp_path):
    layer = SpectralNormalization(layers.Embedding(7, 3))
    tokens = np.array([[0, 2, 6]])
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layer])
    expected = as_array(model(tokens))
    np.testing.assert_allclose(
        as_array(layer.fold()(tokens)), expected, atol=1e-6
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(as_array(loaded(tokens)), expected, atol=1e-6)


@each_case
def test_save_and_load(case, tmp_path):
    layer, inputs, _ = built(case)
    for _ in range(2):
        layer(inputs, training=True)
    model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
    expected = model.predict(inputs, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(inputs, verbose=0), expected, rtol=1e-5, atol=1e-6
    )
    for old, new in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(as_array(old), as_array(new))
    (restored,) = loaded.layers
    assert restored.kernels == layer.kernels
    assert restored.layer.get_config() == layer.layer.get_config()
    # Training goes on alike.
    np.testing.assert_allclose(
        as_array(loaded(inputs, training=True)),
        as_array(model(inputs, training=True)),
        rtol=1e-5,
        atol=1e-6,
    )


@each_case
def test_fold(case):
    layer, inputs, _ = built(case)
    for _ in range(2):
        layer(inputs, training=True)
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
    inputs = RNG.normal(size=(2, 5, 5, 3)).astype("float32")
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


def test_wrong_arguments():
    wrapped = layers.Dense(3)
    with pytest.raises(ValueError, match="`power_iterations` must be an int"):
        SpectralNormalization(wrapped, 0)
    with pytest.raises(ValueError, match="`dtype` is that of the wrapped"):
        SpectralNormalization(wrapped, dtype="float16")
    old = type("Dense", (), {"__module__": "tf_keras.src.layers"})()
    with pytest.raises(ValueError, match="`layer` must be made by Keras 3"):
        SpectralNormalization(old)
    for kernels in ({}, ["kernel"], {1: -1}):
        with pytest.raises(ValueError, match="`kernels` must be a dictionary"):
            SpectralNormalization(wrapped, kernels=kernels)
    with pytest.raises(ValueError, match=r"`kernels\['kernel'\]` must be"):
        SpectralNormalization(wrapped, kernels={"kernel": 0.5})
    with pytest.raises(ValueError, match="`differentiate_vectors` must be"):
        SpectralNormalization(wrapped, differentiate_vectors=1)
    with pytest.raises(ValueError, match="Wrapper"):
        SpectralNormalization("dense")


@pytest.mark.parametrize(
    ("layer", "kernels", "message"),
    [
        (layers.LayerNormalization(), None, "must name the kernels of a Layer"),
        (layers.Dense(3), {"weights_": -1}, "must name weights of the wrapped"),
        (layers.Dense(3), {"kernel": 2}, r"`kernels\['kernel'\]` must be in"),
        (layers.Dense(3), {"bias": 0}, "`weights` must have rank 2"),
        (layers.Dense(3), {"kernel": -1, "_kernel": 0}, "each kernel once"),
    ],
)
def test_kernels_that_are_not_there(layer, kernels, message):
    with pytest.raises(ValueError, match=message):
        SpectralNormalization(layer, kernels=kernels).build((None, 4))


def test_masks_reach_the_wrapped_layer():
    layer = SpectralNormalization(layers.LSTM(3))
    inputs = RNG.normal(size=(2, 5, 4)).astype("float32")
    mask = np.array([[True] * 5, [True] * 2 + [False] * 3])
    masked = as_array(layer(inputs, mask=mask))
    short = as_array(layer(inputs[1:, :2]))
    np.testing.assert_allclose(masked[1:], short, atol=1e-6)
    assert not np.allclose(masked[1:], as_array(layer(inputs[1:])))


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
def test_float64():
    layer = SpectralNormalization(layers.Dense(3, dtype="float64"))
    inputs = RNG.normal(size=(2, 4))
    layer(inputs)
    layer.converge(500)
    kernel = as_array(layer.normalized_kernels()[0])
    # JAX has float64 only if it is asked for.
    is_jax = keras.backend.backend() == "jax"
    assert kernel.dtype == ("float32" if is_jax else "float64")
    norm = np.linalg.norm(kernel.astype("float64"), 2)
    assert norm == pytest.approx(1.0, rel=1e-6 if is_jax else 1e-12)

"""Networks, recipes, batches and scores of the SphereFace+ program."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from common.callbacks import RefuseDivergence
from common.dataset_types import DataError
from common.identity_data import (
    IdentityData,
    Pairs,
    Subset,
    draw_pairs,
    with_identities,
)
from common.run_folder import RunError
from keras_mhe.layers import (
    AngularMargin,
    ArcFace,
    CosFace,
    SphereFace,
    SphereFace2,
    SphereFaceR,
)
from keras_mhe.losses import OneVsAllCrossentropy
from verification.batches import IdentityBatches
from verification.methods import Method
from verification.models import (
    build_model,
    embedding_of,
    predictor_of,
    start_from,
)
from verification.networks import embedding_network
from verification.recipes import SHORT, Recipe, Stage, published_recipe
from verification.scoring import class_vectors, embed, verify
from verification.training import _fingerprint


def _data() -> IdentityData:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (20, 8, 8, 1)).astype("uint8")
    index = np.arange(2)
    return IdentityData(
        name="noise",
        x_train=images,
        y_train=np.repeat(np.arange(5), 4),
        identity_names=tuple("abcde"),
        x_test=images,
        pairs=Pairs(index, index + 2, index == 0, index),
        source="random numbers",
    )


def _network(name: str) -> keras.Model:
    return embedding_network(
        (112, 96, 3), network=name, embedding_size=512, weight_decay=5e-4
    )


def test_sphereface20_is_as_published() -> None:
    """Kernels, strides, biases and sums of its training file."""
    model = _network("sphereface20")
    convolutions = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    shapes = [tuple(layer.kernel.shape[2:]) for layer in convolutions]
    assert shapes == [
        (3, 64), (64, 64), (64, 64),
        (64, 128), *[(128, 128)] * 4,
        (128, 256), *[(256, 256)] * 8,
        (256, 512), (512, 512), (512, 512),
    ]  # fmt: skip
    for layer in convolutions:
        is_first = layer.name.endswith("_1")
        assert layer.strides == ((2, 2) if is_first else (1, 1))
        assert layer.use_bias == is_first
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        fan_in = np.prod(kernel.shape[:3])
        deviation = np.sqrt(1 / fan_in) if is_first else 0.01
        assert kernel.std() == pytest.approx(deviation, rel=0.05)
    slopes = [
        layer for layer in model.layers if isinstance(layer, keras.layers.PReLU)
    ]
    assert [tuple(s.alpha.shape) for s in slopes] == [
        (1, 1, shape[1]) for shape in shapes
    ]
    assert all(
        (keras.ops.convert_to_numpy(s.alpha) == 0.25).all() for s in slopes
    )
    # Layers of the same shape have numbers of their own.
    same = [model.get_layer(f"conv3_{index}") for index in range(2, 10)]
    kernels = [keras.ops.convert_to_numpy(x.kernel).ravel() for x in same]
    assert np.abs(np.corrcoef(kernels) - np.eye(8)).max() < 0.01
    sums = [x for x in model.layers if isinstance(x, keras.layers.Add)]
    assert len(sums) == 8
    assert tuple(model.get_layer("relu4_3").output.shape[1:3]) == (7, 6)
    dense = model.get_layer("features")
    assert tuple(dense.kernel.shape) == (7 * 6 * 512, 512)
    # Decay on kernels and slopes of 20 convolutions and on the dense kernel,
    # none on biases.
    assert len(model.losses) == 2 * 20 + 1
    assert not any(
        isinstance(x, keras.layers.BatchNormalization) for x in model.layers
    )


def test_residual_units_add_what_two_convolutions_make_of_it() -> None:
    model = _network("sphereface20")
    names = ("relu1_1", "relu1_3", "sum1_3")
    parts = keras.Model(
        model.input, [model.get_layer(name).output for name in names]
    )
    images = np.random.default_rng(0).integers(0, 256, (1, 112, 96, 3))
    first, second, total = map(
        keras.ops.convert_to_numpy, parts(images.astype("float32"))
    )
    np.testing.assert_allclose(total, first + second, rtol=1e-5, atol=1e-6)
    assert np.abs(second).max() > 0.0


def test_four_layer_network_keeps_the_halving_convolutions() -> None:
    model = _network("sphereface4")
    convolutions = [
        layer.name
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    assert convolutions == ["conv1_1", "conv2_1", "conv3_1", "conv4_1"]
    assert model.output_shape == (None, 512)


def test_published_recipes() -> None:
    """Rates, boundaries and steps of the four training files."""
    expected = {
        1.0: ([0.05, 0.01], [7000], 11_000, 0.12),
        2.0: ([0.1, 0.01], [5000], 8_000, 0.11),
        3.0: ([0.1, 0.01, 0.001], [4000, 9000], 12_000, 0.11),
        4.0: ([0.01, 0.001, 0.0001], [4000, 6000], 8_000, 0.12),
    }
    for margin, (rates, boundaries, steps, gamma) in expected.items():
        recipe = published_recipe("sphereface", margin)
        assert recipe.training.steps == steps
        assert recipe.lambda_gamma == gamma
        assert (recipe.batch_size, recipe.embedding_size) == (512, 512)
        schedule = recipe.training.schedule(steps)
        edges = [0, *boundaries, steps]
        for rate, begin, end in zip(rates, edges, edges[1:], strict=False):
            assert float(schedule(begin)) == pytest.approx(rate)
            assert float(schedule(end - 1)) == pytest.approx(rate)
    # Other heads take the one of margin 4.
    as_four = published_recipe("sphereface", 4.0)
    assert published_recipe("arcface", 0.5) == as_four
    assert published_recipe("cosface", 1.0) == as_four
    first = as_four.pretraining
    assert first is not None
    rates = [float(first.schedule(28_000)(s)) for s in (0, 16_000, 24_000)]
    np.testing.assert_allclose(rates, [0.1, 0.01, 0.001], rtol=1e-6)


def test_short_schedule_warms_up_and_ends_at_zero() -> None:
    schedule = Stage(epochs=1, learning_rate=0.2).schedule(1000)
    assert float(schedule(0)) <= 0.2 / 50 + 1e-9
    assert float(schedule(50)) == pytest.approx(0.2, rel=1e-4)
    assert float(schedule(1000)) == pytest.approx(0.0, abs=1e-6)
    assert SHORT["glyphs"].pretraining is not None


@pytest.mark.parametrize(
    ("text", "kind", "margin"),
    [
        ("softmax", AngularMargin, None),
        ("sphereface:3", SphereFace, 3),
        ("sphereface_r:1.5", SphereFaceR, 1.5),
        ("cosface:0.3", CosFace, 0.3),
        ("arcface:0.4", ArcFace, 0.4),
        ("sphereface2:0.2", SphereFace2, 0.2),
    ],
)
def test_methods_make_their_heads(
    text: str, kind: type, margin: float | None
) -> None:
    recipe = Recipe(
        scale=20.0,
        lambda_gamma=0.5,
        gradient_detachment=True,
        feature_norm="soft",
    )
    head = Method.parse(f"{text}+batch:a1@7").layer(9, recipe)
    assert type(head) is kind
    assert getattr(head, "margin", None) == margin
    assert head.energy.strength == 7.0
    assert (head.energy.power, head.energy.distance) == (1, "angular")
    assert isinstance(head.kernel_regularizer, keras.regularizers.L2)
    if kind is SphereFace:
        assert head.lambda_gamma == 0.5
    else:
        assert head.scale == 20.0
    if kind is SphereFaceR:
        assert head.feature_norm == "soft"
    if kind in (SphereFace, SphereFaceR, ArcFace):
        assert head.gradient_detachment
    loss = Method.parse(text).loss(head)
    if kind is SphereFace2:
        assert isinstance(loss, OneVsAllCrossentropy)
        assert loss.factor == pytest.approx(50 / 20)
    else:
        assert isinstance(loss, keras.losses.SparseCategoricalCrossentropy)


def test_batches_give_labels_twice_and_repeat_after_a_resume() -> None:
    data = _data()

    def batches() -> IdentityBatches:
        return IdentityBatches(
            data.x_train, data.y_train, batch_size=6, mirror=True, seed=1
        )

    first, again = batches(), batches()
    assert len(first) == 3
    seen = []
    for index in range(3):
        (images, inputs), labels = first[index]
        np.testing.assert_array_equal(inputs, labels)
        assert (images.dtype, labels.dtype) == ("float32", "int32")
        for image, label in zip(images, labels, strict=True):
            matches = [
                number
                for number, original in enumerate(data.x_train)
                if np.array_equal(original, image)
                or np.array_equal(original[:, ::-1], image)
            ]
            assert len(matches) == 1
            assert data.y_train[matches[0]] == label
            seen += matches
    assert len(set(seen)) == 18
    again.begin_epoch(2)
    assert not np.array_equal(again[0][0][0], first[0][0][0])
    again.begin_epoch(0)
    np.testing.assert_array_equal(again[2][0][0], first[2][0][0])


def test_identities_can_be_left_out() -> None:
    data = _data()
    few = with_identities(data, 3, seed=0)
    assert few.x_train.shape == (12, 8, 8, 1)
    for index, name in enumerate(few.identity_names):
        kept = few.x_train[np.flatnonzero(few.y_train == index)]
        original = data.identity_names.index(name)
        np.testing.assert_array_equal(
            kept, data.x_train[data.y_train == original]
        )
    assert with_identities(data, 3, seed=0).identity_names == (
        few.identity_names
    )
    subset = Subset(data.x_train, np.array([3, 1, 2]))
    np.testing.assert_array_equal(subset[1:], data.x_train[[1, 2]])
    with pytest.raises(
        DataError, match=r"=6, but there are 5 to train on\. Give fewer\."
    ):
        with_identities(data, 6, seed=0)


def test_images_of_another_size_are_other_data() -> None:
    data = _data()
    larger = replace(data, x_train=np.zeros((20, 8, 9, 1), "uint8"))
    assert _fingerprint(data) == _fingerprint(_data())
    assert _fingerprint(data) != _fingerprint(larger)


def test_mirrored_features_are_appended() -> None:
    data = _data()
    model = build_model(Method(), Recipe(embedding_size=4), data, seed=0)
    network = embedding_of(model)
    both = embed(network, data.x_test, mirror=True)
    assert both.shape == (20, 8)
    plain = embed(network, data.x_test)
    mirrored = embed(network, data.x_test[:, :, ::-1])
    expected = np.concatenate([plain, mirrored], axis=1)
    np.testing.assert_allclose(both, expected, rtol=1e-5, atol=1e-5)
    assert not np.allclose(plain, mirrored)


def test_pairs_are_scored_by_cosines_of_centered_embeddings() -> None:
    data = _data()
    model = build_model(Method(), Recipe(embedding_size=4), data, seed=0)
    network = embedding_of(model)
    pairs = draw_pairs(data.y_train, 8, folds=2)
    found = verify(network, data.x_test, pairs, mirror=False)
    features = embed(network, data.x_test).astype("float64")
    for fold in (0, 1):
        here = pairs.folds == fold
        others = [x[~here] for x in (pairs.first, pairs.second)]
        mean = features[np.concatenate(others)].mean(axis=0)
        one, two = features[pairs.first] - mean, features[pairs.second] - mean
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
        cosines = (one * two).sum(axis=1) / lengths
        np.testing.assert_allclose(
            found.scores[here], cosines[here], rtol=1e-4, atol=1e-4
        )


def test_predictor_has_no_margin() -> None:
    data = _data()
    model = build_model(Method(), Recipe(embedding_size=4), data, seed=0)
    images = data.x_train[:3].astype("float32")
    features = embedding_of(model).predict(images, verbose=0)
    kernel = keras.ops.convert_to_numpy(model.get_layer("head").kernel)
    expected = features @ (kernel / np.linalg.norm(kernel, axis=0))
    logits = predictor_of(model).predict(images, verbose=0)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_one_seed_gives_the_same_model() -> None:
    data, recipe = _data(), Recipe(embedding_size=4)
    first, again, other = (
        build_model(Method(), recipe, data, seed) for seed in (3, 3, 4)
    )
    for one, two in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


def test_another_network_cannot_be_trained_on(tmp_path: Path) -> None:
    data = _data()
    path = tmp_path / "model.keras"
    build_model(Method(), Recipe(embedding_size=4), data, seed=0).save(path)
    model = build_model(Method(), Recipe(embedding_size=5), data, seed=0)
    before = model.get_weights()
    with pytest.raises(DataError, match="has another network"):
        start_from(model, path)
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("count", [30, 700])
def test_class_vectors_by_hand(count: int) -> None:
    """In one block and in several."""
    kernel = np.random.default_rng(0).normal(size=(5, count)) * 3
    units = kernel / np.linalg.norm(kernel, axis=0)
    cosines = units.T @ units
    np.fill_diagonal(cosines, -1)
    nearest = np.degrees(np.arccos(cosines.max(axis=1)))
    found = class_vectors(kernel.astype("float32"))
    assert found.smallest_angle == pytest.approx(nearest.min(), rel=1e-3)
    assert found.mean_nearest_angle == pytest.approx(nearest.mean(), rel=1e-4)
    assert found.energy_gap == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_divergence_names_step_and_advice(loss: float) -> None:
    callback = RefuseDivergence("Do this.")
    callback.on_epoch_begin(2)
    callback.on_train_batch_end(0, {"loss": 1e30})
    with pytest.raises(RunError, match=r"step 8 of epoch 3\. Do this\."):
        callback.on_train_batch_end(7, {"loss": loss})
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    callback.set_model(model)
    callback.on_epoch_end(2)
    model.layers[0].bias.assign([loss])
    with pytest.raises(RunError, match=r"bias are not finite after epoch 3"):
        callback.on_epoch_end(2)

"""Heads in models: `fit`, schedules, energies, drawn classes, saving."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe import MHE
from keras_mhe.layers import (
    AngularMargin,
    ArcFace,
    CosFace,
    SphereFace,
    SphereFace2,
)
from keras_mhe.losses import OneVsAllCrossentropy, SampledCrossentropy
from support import numpy_reference
from support.heads import HEADS, SOFTMAX_HEADS, UNITS, expected_logits
from support.tensors import as_float, total
from support.ways import WAYS

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(24, 6)).astype("float32")
LABELS = RNG.integers(0, UNITS, 24)
#: The last batch of an epoch is smaller than the others.
BATCH, STEPS = 10, 3

each_way = pytest.mark.parametrize("way", WAYS)


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def functional_model(head, policy="float32", compiled=True, **options):
    images = keras.Input((6,), name="images")
    labels = keras.Input((), dtype="int32", name="labels")
    features = layers.Dense(4, dtype=policy, name="features")(images)
    model = keras.Model([images, labels], head((features, labels)))
    if compiled:
        binary = isinstance(head, SphereFace2)
        options.setdefault(
            "loss", OneVsAllCrossentropy() if binary else cross_entropy()
        )
        model.compile(keras.optimizers.SGD(0.05), **options)
    return model


def fit(model, epochs=1, **options):
    return model.fit(
        [IMAGES, LABELS],
        LABELS,
        batch_size=BATCH,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        **options,
    ).history


class Subclassed(keras.Model):
    """As users write them."""

    def __init__(self, head):
        super().__init__()
        self.features = layers.Dense(4)
        self.head = head

    def call(self, inputs, training=None):
        images, labels = inputs
        return self.head((self.features(images), labels), training=training)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        part = slice(index * BATCH, (index + 1) * BATCH)
        return (IMAGES[part], LABELS[part]), LABELS[part]


@each_way
@pytest.mark.parametrize("name", HEADS)
def test_fit(name, way):
    head = HEADS[name]()
    model = functional_model(head, **WAYS[way])
    losses = fit(model, epochs=4)["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert int(ops.convert_to_numpy(head.step)) == 4 * STEPS


@pytest.mark.parametrize("kind", ["subclassed", "PyDataset", "validation"])
def test_every_way_to_train_gives_the_same_weights(kind):
    expected = functional_model(CosFace(UNITS, scale=8.0))
    start = expected.get_weights()
    fit(expected)

    head = CosFace(UNITS, scale=8.0)
    model = functional_model(head)
    if kind == "subclassed":
        model = Subclassed(head := CosFace(UNITS, scale=8.0))
        model.compile(keras.optimizers.SGD(0.05), cross_entropy())
        model([IMAGES[:2], LABELS[:2]])
    model.set_weights(start)
    if kind == "PyDataset":
        model.fit(Batches(), shuffle=False, verbose=0)
    elif kind == "validation":
        fit(model, validation_data=([IMAGES, LABELS], LABELS))
    else:
        fit(model)
    assert int(ops.convert_to_numpy(head.step)) == STEPS
    for actual, weight in zip(
        model.get_weights(), expected.get_weights(), strict=True
    ):
        np.testing.assert_allclose(actual, weight, atol=1e-6)


def test_tensorflow_data():
    data = pytest.importorskip("tensorflow").data
    dataset = data.Dataset.from_tensor_slices(((IMAGES, LABELS), LABELS)).batch(
        BATCH
    )
    head = ArcFace(UNITS, scale=8.0)
    model = functional_model(head)
    history = model.fit(dataset, epochs=3, shuffle=False, verbose=0).history
    losses = history["loss"]
    assert losses[-1] < losses[0]
    assert int(ops.convert_to_numpy(head.step)) == 3 * STEPS


@pytest.mark.parametrize("name", HEADS)
def test_validation_has_no_margin(name):
    head = HEADS[name]()
    model = functional_model(head)
    before = [np.array(weight) for weight in model.get_weights()]
    loss = model.evaluate([IMAGES, LABELS], LABELS, verbose=0)
    after = model.get_weights()
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    features = ops.convert_to_numpy(model.get_layer("features")(IMAGES))
    logits = expected_logits(head, features, None)
    expected = as_float(model.loss(LABELS, logits.astype("float32")))
    assert abs(loss - expected) < 1e-4


@pytest.mark.parametrize("name", HEADS)
def test_predicts_without_labels(name):
    head = HEADS[name]()
    model = functional_model(head)
    fit(model)
    images = keras.Input((6,))
    predictor = keras.Model(images, head(model.get_layer("features")(images)))
    logits = predictor.predict(IMAGES, verbose=0)
    features = ops.convert_to_numpy(model.get_layer("features")(IMAGES))
    np.testing.assert_allclose(
        logits, expected_logits(head, features, None), atol=1e-4
    )
    np.testing.assert_allclose(
        logits, model.predict([IMAGES, LABELS], verbose=0), atol=1e-5
    )


@each_way
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ["ArcFace", "SphereFace-4", "SphereFace2"])
def test_mixed_precision(name, policy, way):
    head = HEADS[name](dtype=policy, energy=MHE(), kernel_regularizer=MHE())
    model = functional_model(head, policy, **WAYS[way])
    losses = fit(model, epochs=4)["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert int(ops.convert_to_numpy(head.step)) == 4 * STEPS


# The step: lambda and the energy's strength follow it.


@each_way
def test_lambda_falls_with_the_steps_of_fit(way):
    head = SphereFace(UNITS, 4, lambda_base=50.0, lambda_gamma=1.0)
    model = functional_model(head, **WAYS[way])
    model.optimizer.learning_rate = 0.0
    losses = [fit(model)["loss"][0] for _ in range(4)]
    # Nothing moves but lambda: 25, 16.7, 12.5, ... down to 5.
    assert np.all(np.diff(losses) > 0.0)
    features = ops.convert_to_numpy(model.get_layer("features")(IMAGES))
    expected = [
        as_float(
            cross_entropy()(
                LABELS[part],
                expected_logits(
                    head, features[part], LABELS[part], step
                ).astype("float32"),
            )
        )
        * len(LABELS[part])
        for step, part in enumerate(
            slice(begin, begin + BATCH) for begin in (0, 10, 20)
        )
    ]
    np.testing.assert_allclose(losses[0], sum(expected) / 24, rtol=1e-5)


def test_published_lambda():
    head = SphereFace(10)
    values = [as_float(head.lambda_at(step)) for step in (0, 99, 10**5)]
    np.testing.assert_allclose(
        values, [1000 / 1.12, 1000 / 13.0, 5.0], rtol=1e-6
    )
    slow = SphereFace(10, lambda_gamma=1.0, lambda_power=0.5)
    assert as_float(slow.lambda_at(8)) == pytest.approx(1000 / 10**0.5)
    # The published run with margin 4.
    assert as_float(SphereFace(10, lambda_start=2000).lambda_at(0)) == 5.0


def energies(head, steps):
    """What the head adds to the loss in these steps."""
    features = RNG.normal(size=(4, 3)).astype("float32")
    values = []
    for _ in range(steps):
        head((features, np.array([1, 1, 4, 0])), training=True)
        values.append(total(head.losses))
    return np.array(values)


def test_energy_is_that_of_the_batch():
    head = ArcFace(UNITS, energy=MHE(3.0, power=1, half_space=True))
    (value,) = energies(head, 1)
    expected = 3.0 * numpy_reference.energy(
        ops.convert_to_numpy(head.kernel),
        power=1,
        half_space=True,
        anchors=[1, 1, 4, 0],
    )
    assert abs(value / expected - 1.0) < 1e-5
    head((np.ones((1, 3)), np.array([1])))
    assert head.losses == []


def test_energy_start_and_warmup():
    head = ArcFace(UNITS, energy=MHE(), energy_start=2, energy_warmup=4)
    values = energies(head, 8)
    full = as_float(MHE()(head.kernel, anchors=np.array([1, 1, 4, 0])))
    np.testing.assert_allclose(
        values / full, [0, 0, 0.25, 0.5, 0.75, 1, 1, 1], atol=1e-5
    )
    values = energies(ArcFace(UNITS, energy=MHE(), energy_start=1), 2)
    assert values[0] == 0.0
    assert values[1] > 0.1


def test_energy_schedule():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [1, 3], [0.0, 2.0, 0.5]
    )
    head = ArcFace(UNITS, energy=MHE(), energy_schedule=schedule)
    values = energies(head, 6)
    full = as_float(MHE()(head.kernel, anchors=np.array([1, 1, 4, 0])))
    expected = [float(schedule(step)) for step in range(6)]
    assert expected == [0.0, 0.0, 2.0, 2.0, 0.5, 0.5]
    np.testing.assert_allclose(values / full, expected, atol=1e-5)


@each_way
def test_energy_in_fit_spreads_the_classes(way):
    def smallest_angle(energy):
        keras.utils.set_random_seed(0)
        head = ArcFace(UNITS, energy=energy)
        model = functional_model(head, **WAYS[way])
        fit(model, epochs=10)
        kernel = ops.convert_to_numpy(head.kernel)
        unit = kernel / np.linalg.norm(kernel, axis=0)
        cosines = (unit.T @ unit)[~np.eye(UNITS, dtype=bool)]
        return np.arccos(cosines.max())

    assert smallest_angle(MHE(100.0)) > smallest_angle(None) + 0.05


def test_soft_feature_norm():
    head = HEADS["SphereFaceR-soft"]()
    features = RNG.normal(size=(6, 3)).astype("float32")
    head((features, np.zeros(6, int)), training=True)
    excess = np.linalg.norm(features, axis=1) - head.scale
    expected = head.soft_weight * np.mean(excess**2)
    assert abs(total(head.losses) / expected - 1.0) < 1e-5
    head((features, np.zeros(6, int)))
    assert head.losses == []
    sampled = HEADS["SphereFaceR-soft"](sample_rate=0.5)
    sampled((features, np.zeros(6, int)), training=True)
    np.testing.assert_allclose(total(sampled.losses), expected, rtol=1e-5)


# Drawn classes.


@each_way
@pytest.mark.parametrize("name", SOFTMAX_HEADS)
def test_drawn_classes(name, way):
    head = HEADS[name](sample_rate=0.4, seed=1, energy=MHE())
    model = functional_model(head, loss=SampledCrossentropy(), **WAYS[way])
    start = np.array(ops.convert_to_numpy(head.kernel))
    history = fit(model, epochs=4, validation_data=([IMAGES, LABELS], LABELS))
    assert np.isfinite(history["loss"]).all()
    # Validation is the softmax over all classes.
    features = ops.convert_to_numpy(model.get_layer("features")(IMAGES))
    logits = expected_logits(head, features, None).astype("float32")
    expected = as_float(cross_entropy()(LABELS, logits))
    assert abs(history["val_loss"][-1] - expected) < 1e-4
    assert history["val_loss"][-1] < history["val_loss"][0]
    assert np.abs(ops.convert_to_numpy(head.kernel) - start).max() > 0.01
    assert int(ops.convert_to_numpy(head.step)) == 4 * STEPS


def test_all_classes_drawn_give_the_loss_of_all_classes():
    head = ArcFace(UNITS, scale=8.0, sample_rate=0.999, energy=MHE())
    features = RNG.normal(size=(6, 3)).astype("float32")
    labels = np.array([0, 1, 2, 2, 4, 0])
    sampled = head((features, labels), training=True)
    assert sampled.shape == (6, 1 + 6 + UNITS)
    expected = expected_logits(head, features, labels).astype("float32")
    np.testing.assert_allclose(
        as_float(SampledCrossentropy()(labels, sampled)),
        as_float(cross_entropy()(labels, expected)),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        total(head.losses),
        as_float(MHE()(head.kernel, anchors=labels)),
        rtol=1e-5,
    )


def test_draws_change_from_step_to_step_and_follow_the_seed():
    features = RNG.normal(size=(2, 3)).astype("float32")

    def steps(seed):
        keras.utils.set_random_seed(0)
        head = AngularMargin(1000, sample_rate=0.01, seed=seed)
        return [
            ops.convert_to_numpy(
                head((features, np.array([1, 2])), training=True)
            )
            for _ in range(2)
        ]

    first, second = steps(3)
    assert first.shape == (2, 1 + 2 + 10)
    assert np.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(steps(3), [first, second])


# Saving.


@pytest.mark.parametrize("name", HEADS)
def test_saved_in_a_model(name, tmp_path):
    head = HEADS[name](energy=MHE(2.0), kernel_regularizer=MHE(1.0))
    model = functional_model(head)
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.layers[-1]
    assert type(again) is type(head)
    assert again.get_config() == head.get_config()
    assert int(ops.convert_to_numpy(again.step)) == STEPS
    np.testing.assert_array_equal(
        loaded.predict([IMAGES, LABELS], verbose=0),
        model.predict([IMAGES, LABELS], verbose=0),
    )
    # And it goes on as if it had never been away.
    fit(model)
    fit(loaded)
    for actual, expected in zip(
        loaded.get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("form", ["positional", "keyword"])
def test_labels_as_an_argument(form, tmp_path):
    head = ArcFace(UNITS, scale=8.0)
    images = keras.Input((6,))
    labels = keras.Input(())  # Floats, as Keras makes them by default.
    features = layers.Dense(4)(images)
    logits = (
        head(features, labels)
        if form == "positional"
        else head(features, labels=labels)
    )
    model = keras.Model([images, labels], logits)
    model.compile(keras.optimizers.SGD(0.05), cross_entropy())
    losses = fit(model, epochs=4)["loss"]
    assert losses[-1] < losses[0]
    assert int(ops.convert_to_numpy(head.step)) == 4 * STEPS
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(fit(loaded)["loss"], fit(model)["loss"], 1e-6)


@each_way
def test_sequential_model_warns(way):
    model = keras.Sequential([keras.Input((6,)), ArcFace(UNITS)])
    model.compile("sgd", cross_entropy(), **WAYS[way])
    with pytest.warns(UserWarning, match="in training without labels") as seen:
        model.fit(IMAGES, LABELS, batch_size=BATCH, epochs=2, verbose=0)
    assert sum("without labels" in str(one.message) for one in seen) == 1
    model.evaluate(IMAGES, LABELS, verbose=0)


#: Which of the layers, and on PyTorch the model too, are computed again.
SCOPES = {"one": {"mode": "list_of_layers", "layer_names": ["head"]}}
if keras.backend.backend() == "torch":
    SCOPES["all"] = {"mode": "full"}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("sample_rate", [1.0, 0.1])
def test_gradient_checkpointing_changes_nothing(scope, sample_rate):
    def trained(arguments):
        keras.utils.set_random_seed(0)
        with keras.RematScope(**arguments):
            head = SphereFace(
                40, energy=MHE(), sample_rate=sample_rate, seed=1, name="head"
            )
            model = functional_model(head, loss=SampledCrossentropy())
            fit(model, epochs=2)
        return model

    model, expected = trained(SCOPES[scope]), trained({"mode": None})
    assert int(ops.convert_to_numpy(model.layers[-1].step)) == 2 * STEPS
    for actual, weight in zip(
        model.get_weights(), expected.get_weights(), strict=True
    ):
        np.testing.assert_allclose(actual, weight, atol=1e-6)


def test_weights_alone(tmp_path):
    model = functional_model(SphereFace(UNITS, energy=MHE()))
    fit(model)
    model.save_weights(tmp_path / "model.weights.h5")
    other = functional_model(SphereFace(UNITS))
    other.load_weights(tmp_path / "model.weights.h5")
    for actual, expected in zip(
        other.get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)


def test_output_shape_of_a_symbolic_head():
    features, labels = keras.Input((3,)), keras.Input((1,), dtype="int32")
    head = ArcFace(7)
    assert head((features, labels)).shape == (None, 7)
    assert head(features).shape == (None, 7)
    assert head.compute_output_shape((None, 3)) == (None, 7)
    assert head.compute_output_shape([(5, 3), (5,)]) == (5, 7)

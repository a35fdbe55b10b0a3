"""Heads in models: `fit`, schedules, energies, drawn classes, saving."""

import keras
import numpy as np
import pytest
from keras import layers

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
from support.tensors import (
    as_array,
    as_float,
    assert_same_weights,
    random_array,
    total,
    weights_of,
)
from support.ways import WAYS

IMAGES = random_array(24, 6)
LABELS = np.random.default_rng(0).integers(0, UNITS, 24)
#: The last batch of an epoch is smaller than the others.
BATCH, STEPS = 10, 3

each_way = pytest.mark.parametrize("way", WAYS)
each_head = pytest.mark.parametrize("name", HEADS)


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(model, head, **options):
    binary = isinstance(head, SphereFace2)
    loss = OneVsAllCrossentropy() if binary else cross_entropy()
    model.compile(keras.optimizers.SGD(0.05), **{"loss": loss, **options})
    return model


def functional_model(head, policy="float32", **options):
    images = keras.Input((6,), name="images")
    labels = keras.Input((), dtype="int32", name="labels")
    features = layers.Dense(4, dtype=policy, name="features")(images)
    model = keras.Model([images, labels], head((features, labels)))
    return compiled(model, head, **options)


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


def assert_learns(model, head, epochs=4, **options):
    history = fit(model, epochs, **options)
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0]
    assert as_float(head.step) == epochs * STEPS
    return history


def plain_logits(model, head):
    """Without a margin, by loops."""
    features = as_array(model.get_layer("features")(IMAGES))
    return expected_logits(head, features, None).astype("float32")


@each_way
@each_head
def test_fit_validation_and_prediction(name, way):
    head = HEADS[name]()
    model = functional_model(head, **WAYS[way])
    history = assert_learns(
        model, head, validation_data=([IMAGES, LABELS], LABELS)
    )
    # There is no margin but in training.
    logits = plain_logits(model, head)
    loss = as_float(model.loss(LABELS, logits))
    assert abs(history["val_loss"][-1] - loss) < 1e-4
    images = model.inputs[0]
    predictor = keras.Model(images, head(model.get_layer("features")(images)))
    np.testing.assert_allclose(
        predictor.predict(IMAGES, verbose=0), logits, atol=1e-4
    )


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


def test_every_way_to_train_gives_the_same_weights():
    head = CosFace(UNITS, scale=8.0)
    model = functional_model(head)
    start = model.get_weights()
    fit(model)
    subclassed = compiled(Subclassed(CosFace(UNITS, scale=8.0)), head)
    subclassed([IMAGES[:2], LABELS[:2]])
    subclassed.set_weights(start)
    fit(subclassed)
    batched = functional_model(CosFace(UNITS, scale=8.0))
    batched.set_weights(start)
    batched.fit(Batches(), shuffle=False, verbose=0)
    assert as_float(head.step) == STEPS
    for other in (subclassed, batched):
        assert_same_weights(other, model, atol=1e-6)


def test_tensorflow_data():
    data = pytest.importorskip("tensorflow").data
    dataset = data.Dataset.from_tensor_slices(((IMAGES, LABELS), LABELS))
    head = ArcFace(UNITS, scale=8.0)
    model = functional_model(head)
    batches = dataset.batch(BATCH)
    history = model.fit(batches, epochs=3, shuffle=False, verbose=0).history
    losses = history["loss"]
    assert losses[-1] < losses[0]
    assert as_float(head.step) == 3 * STEPS


@each_way
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ["ArcFace", "SphereFace-4", "SphereFace2"])
def test_mixed_precision(name, policy, way):
    head = HEADS[name](dtype=policy, energy=MHE(), kernel_regularizer=MHE())
    assert_learns(functional_model(head, policy, **WAYS[way]), head)


@each_way
def test_sequential_model_warns(way):
    model = keras.Sequential([keras.Input((6,)), ArcFace(UNITS)])
    model.compile("sgd", cross_entropy(), **WAYS[way])
    with pytest.warns(UserWarning, match="in training without labels") as seen:
        model.fit(IMAGES, LABELS, batch_size=BATCH, epochs=2, verbose=0)
    assert sum("without labels" in str(one.message) for one in seen) == 1
    model.evaluate(IMAGES, LABELS, verbose=0)


# The step: lambda and the energy's strength follow it.


@each_way
def test_lambda_falls_with_the_steps_of_fit(way):
    head = SphereFace(UNITS, 4, lambda_base=50.0, lambda_gamma=1.0)
    model = functional_model(head, **WAYS[way])
    model.optimizer.learning_rate = 0.0
    losses = fit(model, epochs=4)["loss"]
    # Nothing moves but lambda: 25, 16.7, 12.5, ... down to 5.
    assert np.all(np.diff(losses) > 0.0)
    features = as_array(model.get_layer("features")(IMAGES))
    expected = 0.0
    for step, begin in enumerate((0, 10, 20)):
        part = slice(begin, begin + BATCH)
        logits = expected_logits(head, features[part], LABELS[part], step)
        loss = cross_entropy()(LABELS[part], logits.astype("float32"))
        expected += as_float(loss) * len(logits) / 24
    np.testing.assert_allclose(losses[0], expected, rtol=1e-5)


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


FEATURES = random_array(4, 3)
#: Labels of a batch, one of them twice.
BATCH_LABELS = np.array([1, 1, 4, 0])


def energies(head, steps):
    """What the head adds to the loss in these steps."""
    values = []
    for _ in range(steps):
        head((FEATURES, BATCH_LABELS), training=True)
        values.append(total(head.losses))
    return np.array(values)


def test_energy_is_that_of_the_batch():
    form = {"power": 1, "half_space": True}
    head = ArcFace(UNITS, energy=MHE(3.0, **form))
    (value,) = energies(head, 1)
    expected = 3.0 * numpy_reference.energy(
        as_array(head.kernel), anchors=BATCH_LABELS.tolist(), **form
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    head((FEATURES, BATCH_LABELS))
    assert head.losses == []


SCHEDULE = keras.optimizers.schedules.PiecewiseConstantDecay(
    [1, 3], [0.0, 2.0, 0.5]
)


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        (
            {"energy_start": 2, "energy_warmup": 4},
            [0, 0, 0.25, 0.5, 0.75, 1, 1, 1],
        ),
        ({"energy_start": 1}, [0, 1, 1]),
        ({"energy_schedule": SCHEDULE}, [0, 0, 2, 2, 0.5, 0.5]),
    ],
    ids=["warmup", "start", "schedule"],
)
def test_strength_of_the_energy_follows_the_step(options, shares):
    head = ArcFace(UNITS, energy=MHE(), **options)
    values = energies(head, len(shares))
    full = as_float(MHE()(head.kernel, anchors=BATCH_LABELS))
    np.testing.assert_allclose(values / full, shares, atol=1e-5)


@each_way
def test_energy_in_fit_spreads_the_classes(way):
    def smallest_angle(energy):
        keras.utils.set_random_seed(0)
        head = ArcFace(UNITS, energy=energy)
        model = functional_model(head, **WAYS[way])
        fit(model, epochs=10)
        kernel = as_array(head.kernel)
        unit = kernel / np.linalg.norm(kernel, axis=0)
        cosines = (unit.T @ unit)[~np.eye(UNITS, dtype=bool)]
        return np.arccos(cosines.max())

    assert smallest_angle(MHE(100.0)) > smallest_angle(None) + 0.05


@pytest.mark.parametrize("sample_rate", [1.0, 0.5])
def test_soft_feature_norm(sample_rate):
    head = HEADS["SphereFaceR-soft"](sample_rate=sample_rate)
    excess = np.linalg.norm(FEATURES, axis=1) - head.scale
    expected = head.soft_weight * np.mean(excess**2)
    np.testing.assert_allclose(energies(head, 1), [expected], rtol=1e-5)
    head((FEATURES, BATCH_LABELS))
    assert head.losses == []


# Drawn classes.


@each_way
@pytest.mark.parametrize("name", SOFTMAX_HEADS)
def test_drawn_classes(name, way):
    head = HEADS[name](sample_rate=0.4, seed=1, energy=MHE())
    model = functional_model(head, loss=SampledCrossentropy(), **WAYS[way])
    start = as_array(head.kernel)
    history = fit(model, epochs=4, validation_data=([IMAGES, LABELS], LABELS))
    assert np.isfinite(history["loss"]).all()
    # Validation is the softmax over all classes.
    expected = as_float(cross_entropy()(LABELS, plain_logits(model, head)))
    assert abs(history["val_loss"][-1] - expected) < 1e-4
    assert history["val_loss"][-1] < history["val_loss"][0]
    assert np.abs(as_array(head.kernel) - start).max() > 0.01
    assert as_float(head.step) == 4 * STEPS


def test_all_classes_drawn_give_the_loss_of_all_classes():
    head = ArcFace(UNITS, scale=8.0, sample_rate=0.999, energy=MHE())
    sampled = head((FEATURES, BATCH_LABELS), training=True)
    assert sampled.shape == (4, 1 + 4 + UNITS)
    expected = expected_logits(head, FEATURES, BATCH_LABELS).astype("float32")
    np.testing.assert_allclose(
        as_float(SampledCrossentropy()(BATCH_LABELS, sampled)),
        as_float(cross_entropy()(BATCH_LABELS, expected)),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        total(head.losses),
        as_float(MHE()(head.kernel, anchors=BATCH_LABELS)),
        rtol=1e-5,
    )


def test_draws_change_from_step_to_step_and_follow_the_seed():
    def steps(seed):
        keras.utils.set_random_seed(0)
        head = AngularMargin(1000, sample_rate=0.01, seed=seed)
        return [
            as_array(head((FEATURES, BATCH_LABELS), training=True))
            for _ in range(2)
        ]

    first, second = steps(3)
    assert first.shape == (4, 1 + 4 + 10)
    assert np.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(steps(3), [first, second])


# Saving.


@each_head
def test_training_goes_on_after_loading(name, tmp_path):
    head = HEADS[name](energy=MHE(2.0), kernel_regularizer=MHE(1.0))
    model = functional_model(head)
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.layers[-1]
    assert type(again) is type(head)
    assert again.get_config() == head.get_config()
    assert as_float(again.step) == STEPS
    assert_same_weights(loaded, model)
    fit(model)
    fit(loaded)
    assert_same_weights(loaded, model, atol=1e-6)


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
    model = compiled(keras.Model([images, labels], logits), head)
    assert_learns(model, head)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(fit(loaded)["loss"], fit(model)["loss"], 1e-6)


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
        assert as_float(head.step) == 2 * STEPS
        return weights_of(model)

    assert_same_weights(
        trained(SCOPES[scope]), trained({"mode": None}), atol=1e-6
    )

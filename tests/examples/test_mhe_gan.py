"""The GAN program: a tiny run of it, its training step, networks and scores."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

import data
import mhe_gan
import runs
from keras_mhe.layers import SpectralNormalization
from mhe_gan import RECIPE, RECIPES, Options

SMALL = ["--width=0.03", "--batch_size=8", "--samples=40", "--seed=3"]
SMALL += ["--epochs=2", "--steps_per_epoch=2"]
once = pytest.mark.once
SHAPE, RATE = (8, 8, 1), 1e-2
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (6, *SHAPE)).astype("float32")
NOISE, MORE_NOISE = np.float32(RNG.normal(size=(2, 6, mhe_gan.NOISE_SIZE)))


def options_of(recipe="digits", **options):
    values = dict(zip(RECIPE, RECIPES[recipe], strict=True))
    return runs.filled(Options(**options), values)


def array(tensor):
    return ops.convert_to_numpy(tensor)


def run(output, *arguments):
    return mhe_gan.main([*SMALL, *arguments, f"--output={output}"])


# The log's file stays open when `fit` raises, until the program ends.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    """Two steps of few images, and two more of another process."""
    few = data.load_images("digits")
    x, y = few.x_train[:99], few.y_train[:99]
    few = dataclasses.replace(few, x_train=x, y_train=y)
    monkeypatch.setattr(data, "load_images", lambda *_: few)
    monkeypatch.setattr(mhe_gan, "LEAST_STEPS", 1)  # Of the classifier.
    save = runs.SaveModel.on_epoch_end

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise OSError("stopped")
        save(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(runs.SaveModel, "on_epoch_end", stop)
        assert run(tmp_path) == 2
    assert run(tmp_path) == 0
    (folder,) = (path.parent for path in tmp_path.rglob(runs.METRICS))
    metrics = runs.read_json(folder / runs.METRICS)
    assert metrics["steps"] == 4
    assert metrics["frechet_distance"] > metrics["real_frechet_distance"] > 0
    history = runs.read_history(folder)
    for name in ("sigma/sn_conv1", "energy_gap/discriminator/sn_conv2"):
        assert len(history[name]) == 2
    # Of a discriminator that cannot tell yet.
    assert history["loss"][0] == pytest.approx(2 * np.log(2), rel=0.05)
    with np.load(folder / "samples.npz") as samples:
        images = samples["images"].astype(int)
    for name in ("generator.keras", runs.MODEL):
        again = mhe_gan.generate(runs.load_model(folder / name), 40, seed=3)
        np.testing.assert_allclose(again, images, atol=1)
    for name in ("training.png", "discriminator.png", "epoch_002.png"):
        with Image.open(folder / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 2


def pair(like=None):
    """A small pair whose weights all matter, trained by plain descent."""
    gan = mhe_gan.GAN(
        mhe_gan.generator_of(SHAPE, 0.03),
        mhe_gan.discriminator_of(SHAPE, options_of(power_s="0", width=0.03)),
        average=0.15,
    )
    if like is not None:
        gan.set_weights(like.get_weights())
        return gan
    generator = np.random.default_rng(1)
    for weight in gan.trainable_variables:
        if "kernel" in weight.path:
            weight.assign(generator.normal(size=weight.shape) * 0.3)
    for layer in gan.discriminator.layers:
        if isinstance(layer, SpectralNormalization):
            layer.converge()
    gan.averaged_generator.set_weights(gan.generator.get_weights())
    gan.compile(keras.optimizers.SGD(RATE))
    gan.optimizer.build(gan.trainable_variables)
    return gan


def fit(gan):
    """Trains a step; returns the logs."""
    batch = (IMAGES, NOISE, MORE_NOISE)
    logs = gan.fit(batch, batch_size=6, shuffle=False, verbose=0).history
    return {name: values[0] for name, values in logs.items()}


def losses(before, after):
    """The published losses in NumPy.

    The discriminator, not moved yet, sees images of the generator that has.
    """

    def softplus(x):
        return np.logaddexp(0.0, array(x).astype("float64")).mean()

    discriminator = before.discriminator
    first = discriminator(before.generator(NOISE, training=True))
    second = discriminator(after.generator(MORE_NOISE, training=True))
    loss = softplus(second) + softplus(-discriminator(IMAGES))
    loss += sum(array(energy) for energy in discriminator.losses)
    return {"generator_loss": softplus(-first), "loss": loss}


def test_a_step_follows_the_published_losses():
    gan = pair()
    before = pair(gan)
    logs = fit(gan)
    after = pair(gan)
    assert int(gan.optimizer.iterations) == 2  # One for each network.
    assert logs == pytest.approx(losses(before, after), rel=1e-4)
    for side, log in ("generator", "generator_loss"), ("discriminator", "loss"):
        pairs = [getattr(g, side).trainable_variables for g in (before, after)]
        begin, end = ([array(x).copy() for x in side] for side in pairs)
        moves = [new - old for old, new in zip(begin, end, strict=True)]
        assert all(np.abs(move).max() > 0 for move in moves)
        size = np.sqrt(sum(np.sum(move**2) for move in moves))
        change = 0.0
        for sign in (1e-2, -1e-2):
            for weight, old, move in zip(pairs[0], begin, moves, strict=True):
                weight.assign(old + sign / size * move)
            change += np.sign(sign) * losses(before, after)[log] / 2e-2
        for weight, old in zip(pairs[0], begin, strict=True):
            weight.assign(old)
        # Down the gradient, which is the move divided by the rate.
        assert change == pytest.approx(-size / RATE, rel=0.05)
    pairs = zip(before.generator.weights, after.generator.weights, strict=True)
    means = after.averaged_generator.weights
    for (old, new), mean in zip(pairs, means, strict=True):
        if "moving" not in old.path:  # Which `losses` moves.
            expected = 0.1 * array(old) + 0.9 * array(new)
            np.testing.assert_allclose(array(mean), expected, atol=1e-6)


@once
def test_the_published_networks():
    options = options_of("published", variant="mhe")
    assert options.epochs * options.steps_per_epoch == 200_000
    generator = mhe_gan.generator_of((32, 32, 3), options.width)
    discriminator = mhe_gan.discriminator_of((32, 32, 3), options)
    kernels = [
        [tuple(x.shape) for x in network.trainable_variables if x.ndim > 1]
        for network in (generator, discriminator)
    ]
    assert kernels[0] == [
        (128, 8192), (4, 4, 256, 512), (4, 4, 128, 256), (4, 4, 64, 128),
        (3, 3, 64, 3),
    ]  # fmt: skip
    assert kernels[1] == [
        (3, 3, 3, 64), (4, 4, 64, 128), (3, 3, 128, 128), (4, 4, 128, 256),
        (3, 3, 256, 256), (4, 4, 256, 512), (3, 3, 512, 512), (8192, 1),
    ]  # fmt: skip


@once
def test_variants_begin_with_the_same_kernels():
    kernels = []
    strengths = {"baseline": None, "sn": None, "mhe": 2e-6, "sn_mhe": 2e-7}
    for variant, strength in strengths.items():
        keras.utils.set_random_seed(0)
        options = options_of(variant=variant, width=0.03)
        layer = mhe_gan.discriminator_of(SHAPE, options).layers[1]
        assert isinstance(layer, SpectralNormalization) == ("sn" in variant)
        layer = getattr(layer, "layer", layer)
        assert getattr(layer.kernel_regularizer, "strength", None) == strength
        kernels.append(array(layer.kernel))
    assert all(np.array_equal(kernel, kernels[0]) for kernel in kernels)


@once
def test_scores_of_what_is_known():
    logits = 1000.0 * np.eye(10)
    assert mhe_gan.classifier_score(logits) == pytest.approx(10)
    assert mhe_gan.classifier_score(logits[[0, 0]]) == pytest.approx(1)
    features = RNG.normal(size=(50, 4))
    distance = mhe_gan.frechet_distance
    assert distance(features, features) == pytest.approx(0, abs=1e-9)
    assert distance(features, features + 2) == pytest.approx(16)
    features -= features.mean(axis=0)
    # Roots of their covariances are one and three.
    variance = features.var(axis=0, ddof=1).sum()
    assert distance(features, 3 * features) == pytest.approx(4 * variance)

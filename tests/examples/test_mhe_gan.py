"""The GAN program: a tiny run of it, its training step, networks and scores."""

import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

import data
import mhe_gan
import runs
from keras_mhe import MHE
from keras_mhe.layers import SpectralNormalization
from keras_mhe.regularizers import PublishedGANMHE
from mhe_gan import NOISE_SIZE, RECIPE, RECIPES, Options

SMALL = ["--width=0.03", "--batch_size=8", "--samples=40"]
SMALL += ["--epochs=2", "--steps_per_epoch=3"]
NAME = "_".join(part.strip("-").replace("=", "_") for part in SMALL[3:])
NAME = f"{NAME}_batch_size_8_width_0.03_samples_40"
BATCH, SHAPE, RATE = 6, (8, 8, 1), 1e-2
NOISE, MORE_NOISE = (
    np.random.default_rng(2)
    .normal(size=(2, BATCH, NOISE_SIZE))
    .astype("float32")
)
IMAGES = np.random.default_rng(3).uniform(-1, 1, (BATCH, *SHAPE))
IMAGES = IMAGES.astype("float32")


def filled(**options):
    recipe = dict(zip(RECIPE, RECIPES["digits"], strict=True))
    return runs.filled(Options(width=0.03, **options), recipe)


# A run ----------------------------------------------------------------------


def run(output, *arguments):
    return mhe_gan.main([*SMALL, *arguments, f"--output={output}"])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Six steps of the default variant, and a classifier of little wit."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mhe_gan, "LEAST_STEPS", 1)
        assert run(root, "--seed=3") == 0
    return root


@pytest.fixture
def trained(root):
    return root / f"sn_mhe_{NAME}_seed_3"


def test_a_run_fills_its_folder(trained):
    metrics = runs.read_json(trained / runs.METRICS)
    assert metrics["steps"] == 6
    assert 1 <= metrics["classifier_score"] < metrics["real_classifier_score"]
    assert metrics["frechet_distance"] > metrics["real_frechet_distance"] > 0
    history = runs.read_history(trained)
    names = [name for name in history if name.startswith("sigma/")]
    assert names == [
        f"sigma/sn_{n}" for n in ("conv1", "conv2", "conv3", "logit")
    ]
    assert len(history["energy_gap/discriminator/sn_conv2"]) == 2
    # Losses of a discriminator that cannot tell yet.
    assert history["generator_loss"][0] == pytest.approx(np.log(2), rel=0.05)
    assert history["loss"][0] == pytest.approx(2 * np.log(2), rel=0.05)
    with np.load(trained / "samples.npz") as samples:
        images = samples["images"]
    gan = runs.load_model(trained / runs.MODEL)
    again = mhe_gan.generate(gan.averaged_generator, 40, seed=3)
    np.testing.assert_allclose(again.astype(int), images, atol=1)
    for name in ("training.png", "discriminator.png", "epoch_002.png"):
        with Image.open(trained / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 2


def test_a_finished_run_is_not_run_again(root, capsys):
    assert run(root, "--seed=3") == 0
    assert "finished before" in capsys.readouterr().out


# The log's file stays open when `fit` raises, until the program ends.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupted_run_goes_on(root, trained, monkeypatch):
    folder = root / f"sn_mhe_{NAME}_seed_4"
    with monkeypatch.context() as patch:
        save = runs.SaveModel.on_epoch_end

        def stop(self, epoch, logs=None):
            if epoch == 1:
                raise OSError("stopped")
            save(self, epoch, logs)

        patch.setattr(runs.SaveModel, "on_epoch_end", stop)
        assert run(root, "--seed=4") == 2
    assert not (folder / runs.METRICS).exists()
    assert run(root, "--seed=4") == 0
    assert runs.read_json(folder / runs.METRICS)["steps"] == 6
    assert len(runs.read_history(folder)["loss"]) == 2
    model = keras.models.load_model(folder / runs.MODEL)
    assert int(model.optimizer.iterations) == 12


def test_what_cannot_be_used_is_one_line(root, tmp_path, capsys):
    for part in ("train", "test"):
        (tmp_path / "x" / part / "a").mkdir(parents=True)
        picture = Image.fromarray(np.zeros((20, 30), "uint8"))
        picture.save(tmp_path / "x" / part / "a" / "0.png")
    output = tmp_path / "runs"
    for place in ("x", "missing"):
        arguments = ["--dataset=cifar10", f"--data_dir={tmp_path / place}"]
        assert run(output, *arguments) == 2
    square, missing = capsys.readouterr().err.splitlines()
    assert square.endswith("Received: 20 x 30 pixels. Convert them.")
    assert "is missing" in missing
    assert not output.exists()
    (classifier,) = root.glob("classifier_*.keras")
    output.mkdir()
    (output / classifier.name).write_bytes(classifier.read_bytes()[:5000])
    assert run(output) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be loaded" in line


@pytest.mark.slow
def test_a_killed_run_goes_on(root, tmp_path):
    (classifier,) = root.glob("classifier_*.keras")
    (tmp_path / classifier.name).write_bytes(classifier.read_bytes())
    folder = tmp_path / f"baseline_{NAME}_seed_0"
    arguments = [*SMALL, "--variant=baseline", f"--output={tmp_path}"]
    command = [sys.executable, mhe_gan.__file__, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (folder / runs.MODEL).exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert mhe_gan.main(arguments) == 0
    assert runs.read_json(folder / runs.METRICS)["steps"] == 6


@pytest.mark.slow
def test_the_default_run_of_the_readme(tmp_path):
    finished = subprocess.run(
        [sys.executable, mhe_gan.__file__], cwd=tmp_path, capture_output=True
    )
    assert finished.returncode == 0, finished.stderr.decode()
    folder = tmp_path / "runs" / "gan_digits" / "sn_mhe_seed_0"
    metrics = runs.read_json(folder / runs.METRICS)
    assert metrics["classifier_score"] > 6
    assert metrics["real_classifier_score"] > 9


# The training step ----------------------------------------------------------


def array(tensor):
    return ops.convert_to_numpy(tensor)


def softplus(x):
    return np.logaddexp(0.0, array(x).astype("float64"))


def pair():
    """A small pair whose weights all matter, trained by plain descent."""
    keras.utils.set_random_seed(0)
    options = filled(power_s="0")
    gan = mhe_gan.GAN(
        mhe_gan.generator_of(SHAPE, options.width),
        mhe_gan.discriminator_of(SHAPE, options),
        average=0.15,
    )
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
    logs = gan.fit(batch, batch_size=BATCH, shuffle=False, verbose=0).history
    return {name: values[0] for name, values in logs.items()}


@pytest.fixture(scope="module")
def stepped():
    """A pair that was trained for a step, the logs, and pairs then and now."""
    gan, before, after = pair(), pair(), pair()
    logs = fit(gan)
    after.set_weights(gan.get_weights())
    return gan, logs, before, after


def losses(generators, discriminator):
    """The published losses in NumPy, of two generators: first and second."""
    first, second = generators
    fake = discriminator(first.generator(NOISE, training=True))
    generator_loss = softplus(-fake).mean()
    fake = discriminator(second.generator(MORE_NOISE, training=True))
    energies = sum(array(x) for x in discriminator.losses)
    real = discriminator(IMAGES)
    loss = softplus(fake).mean() + softplus(-real).mean() + energies
    return {"generator_loss": generator_loss, "loss": loss}


def test_losses_are_the_published_ones_in_the_published_order(stepped):
    _, logs, before, after = stepped
    # The discriminator, which has not moved yet, sees what the generator that
    # has moved makes of other noise.
    expected = losses((before, after), before.discriminator)
    assert logs == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("side", ["generator", "discriminator"])
def test_each_network_follows_the_gradient_of_its_loss(side, stepped):
    _, _, before, after = stepped
    log = {"generator": "generator_loss", "discriminator": "loss"}[side]
    pairs = [getattr(gan, side).trainable_variables for gan in (before, after)]
    for old, new in zip(*pairs, strict=True):
        value = array(old).copy()
        moved = array(new) - value
        small = 2e-3 * moved / np.linalg.norm(moved)
        change = 0.0
        for sign in (1, -1):
            old.assign(value + sign * small)
            found = losses((before, after), before.discriminator)
            change += sign * found[log] / 2
        old.assign(value)
        # Down the gradient, which is the move divided by the rate.
        expected = -np.sum(small * moved) / RATE
        assert change == pytest.approx(expected, rel=0.1, abs=1e-6)


def test_average_and_count_of_updates(stepped):
    gan, _, before, after = stepped
    assert int(gan.optimizer.iterations) == 2
    pairs = zip(before.generator.weights, after.generator.weights, strict=True)
    means = after.averaged_generator.weights
    for (old, new), mean in zip(pairs, means, strict=True):
        if "moving" not in old.path:  # Which `losses` moves.
            expected = 0.1 * array(old) + 0.9 * array(new)
            np.testing.assert_allclose(array(mean), expected, atol=1e-6)


def test_singular_vectors_move_when_images_are_generated(stepped):
    gan, _, _, after = stepped
    gan.set_weights(after.get_weights())
    gan.optimizer.learning_rate = 0.0
    layer = gan.discriminator.get_layer("sn_conv2")
    kernel = array(layer.layer.kernel)
    matrix = kernel.reshape(-1, kernel.shape[-1]).astype("float64")
    u = np.random.default_rng(0).normal(size=matrix.shape[1])
    layer.vectors_u[0].assign(u / np.linalg.norm(u))
    fit(gan)
    for _ in range(2):  # Once for each network, and not for real images.
        u = matrix.T @ (matrix @ u)
        u /= np.linalg.norm(u)
    np.testing.assert_allclose(array(layer.vectors_u[0]), u, atol=1e-5)


# Networks and variants ------------------------------------------------------


def shapes(network):
    return [tuple(x.shape) for x in network.trainable_variables]


def test_networks_are_the_published_ones():
    options = runs.filled(
        Options(variant="mhe"),
        dict(zip(RECIPE, RECIPES["published"], strict=True)),
    )
    assert options.epochs * options.steps_per_epoch == 200_000
    generator = mhe_gan.generator_of((32, 32, 3), options.width)
    assert shapes(generator) == [
        (128, 4 * 4 * 512), (512,), (512,),
        (4, 4, 256, 512), (256,), (256,),
        (4, 4, 128, 256), (128,), (128,),
        (4, 4, 64, 128), (64,), (64,),
        (3, 3, 64, 3), (3,),
    ]  # fmt: skip
    discriminator = mhe_gan.discriminator_of((32, 32, 3), options)
    kernels = [shape for shape in shapes(discriminator) if len(shape) > 1]
    assert kernels == [
        (3, 3, 3, 64),
        (4, 4, 64, 128), (3, 3, 128, 128),
        (4, 4, 128, 256), (3, 3, 256, 256),
        (4, 4, 256, 512), (3, 3, 512, 512),
        (4 * 4 * 512, 1),
    ]  # fmt: skip
    assert array(discriminator(np.zeros((1, 32, 32, 3)))).shape == (1, 1)
    gan = mhe_gan.build((8, 8, 1), options)
    config = gan.optimizer.get_config()
    assert (config["beta_1"], config["beta_2"], config["epsilon"]) == (
        0.5, 0.999, 1e-8,
    )  # fmt: skip
    assert gan.averaged_generator is gan.generator


@pytest.mark.parametrize(
    ("size", "sides"), [(16, {4, 8, 16}), (28, {7, 14, 28})]
)
def test_networks_follow_the_images(size, sides):
    generator = mhe_gan.generator_of((size, size, 1), 0.02)
    grids = [
        x.output.shape for x in generator.layers if len(x.output.shape) == 4
    ]
    assert {shape[1] for shape in grids} == sides
    discriminator = mhe_gan.discriminator_of((size, size, 1), filled())
    assert discriminator(generator(NOISE)).shape == (BATCH, 1)
    for shape in ((28, 32, 1), (7, 7, 1), (100, 100, 3)):
        with pytest.raises(data.UserError, match="must be square"):
            mhe_gan.feature_maps(shape, 1.0)


def test_variants_begin_with_the_same_kernels():
    kinds, kernels = {}, []
    for variant in ("baseline", "sn", "mhe", "sn_mhe"):
        keras.utils.set_random_seed(0)
        network = mhe_gan.discriminator_of(SHAPE, filled(variant=variant))
        layer = network.layers[1]
        is_normalized = isinstance(layer, SpectralNormalization)
        layer = layer.layer if is_normalized else layer
        strength = getattr(layer.kernel_regularizer, "strength", None)
        kinds[variant] = (is_normalized, strength)
        kernels.append(array(layer.kernel))
    assert kinds == {
        "baseline": (False, None),
        "sn": (True, None),
        "mhe": (False, 2e-6),
        "sn_mhe": (True, 2e-7),
    }
    assert all(np.array_equal(kernel, kernels[0]) for kernel in kernels)


def test_energies_by_their_names():
    term = mhe_gan.energy_of(filled(strength=10.0))
    assert type(term) is PublishedGANMHE
    assert term.strength == pytest.approx(2e-6)
    term = mhe_gan.energy_of(
        filled(strength=0.5, power_s="a1", half_space=True)
    )
    expected = MHE(0.5, power=1, distance="angular", half_space=True)
    assert term.get_config() == expected.get_config()


# Scores ---------------------------------------------------------------------


def test_scores_of_what_is_known():
    logits = 1000.0 * np.eye(10)
    assert mhe_gan.classifier_score(logits) == pytest.approx(10)
    assert mhe_gan.classifier_score(logits[[0, 0]]) == pytest.approx(1)
    features = np.random.default_rng(0).normal(size=(50, 4))
    distance = mhe_gan.frechet_distance
    assert distance(features, features) == pytest.approx(0, abs=1e-9)
    assert distance(features, features + 2) == pytest.approx(16)
    # Three times as far from their mean: roots of covariances differ by two.
    features -= features.mean(axis=0)
    variance = features.var(axis=0, ddof=1).sum()
    assert distance(features, 3 * features) == pytest.approx(4 * variance)

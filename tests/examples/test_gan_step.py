"""One training step of the GAN: order, losses, gradients, state."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from generation.gan import GAN, TwoOptimizers
from generation.networks import (
    NOISE_SIZE,
    discriminator_network,
    generator_network,
)
from keras_mhe import MHE
from keras_mhe.layers import SpectralNormalization

RNG = np.random.default_rng(0)
SHAPE = (8, 8, 1)
BATCH, STEPS = 6, 2
IMAGES = RNG.uniform(-1, 1, size=(STEPS * BATCH, *SHAPE)).astype("float32")
NOISE, MORE_NOISE = (
    RNG.normal(size=(STEPS * BATCH, NOISE_SIZE)).astype("float32")
    for _ in range(2)
)


def make_gan(
    normalize=True,
    strength=1.0,
    rate=1e-3,
    shape=SHAPE,
    width=0.03,
    average=0.0,
    **options,
):
    keras.utils.set_random_seed(0)
    gan = GAN(
        generator_network(shape, width=width),
        discriminator_network(
            shape,
            width=width,
            regularizer=lambda: MHE(strength, power=0),
            wrap=SpectralNormalization if normalize else lambda layer: layer,
        ),
        average=average,
    )
    gan.compile(rate, **options)
    # Larger weights than the published ones, so that all of them matter.
    generator = np.random.default_rng(1)
    for weight in gan.trainable_variables:
        if "kernel" in weight.path:
            weight.assign(generator.normal(size=weight.shape) * 0.3)
    for layer in gan.discriminator.layers:
        if isinstance(layer, SpectralNormalization):
            layer.converge()
    return gan


@functools.cache
def _compiled_once(normalize):
    gan = make_gan(normalize=normalize)
    state = [*gan.variables, *gan.optimizer.variables]
    return gan, [(variable, as_array(variable).copy()) for variable in state]


def compiled_gan(normalize=True, rate=1e-3):
    """Returns a GAN that is as new, but compiled by an earlier test."""
    gan, state = _compiled_once(normalize)
    for variable, value in state:
        variable.assign(value)
    for side in (gan.optimizer.generator, gan.optimizer.discriminator):
        side.learning_rate = rate
    return gan


def copy_weights(source, target):
    target.set_weights([as_array(w) for w in source.weights])


def as_array(tensor):
    return ops.convert_to_numpy(tensor)


def fit(gan, steps=1, epochs=1):
    end = steps * BATCH
    return gan.fit(
        (IMAGES[:end], NOISE[:end], MORE_NOISE[:end]),
        batch_size=BATCH,
        epochs=epochs,
        shuffle=False,
        verbose=0,
    ).history


def softplus(x):
    return np.logaddexp(0.0, x.astype("float64"))


def test_losses_and_order():
    gan = compiled_gan(normalize=False)
    before = make_gan(normalize=False)
    copy_weights(gan, before)
    logs = {name: values[0] for name, values in fit(gan).items()}

    generated = before.generator(NOISE[:BATCH], training=True)
    logits = as_array(before.discriminator(generated))
    np.testing.assert_allclose(
        logs["generator_loss"], softplus(-logits).mean(), rtol=1e-4
    )
    # The discriminator sees what the generator that has moved makes of new
    # noise, and has not moved itself.
    generated = gan.generator(MORE_NOISE[:BATCH], training=True)
    fake = as_array(before.discriminator(generated))
    real = as_array(before.discriminator(IMAGES[:BATCH]))
    np.testing.assert_allclose(
        logs["discriminator_loss"],
        softplus(fake).mean() + softplus(-real).mean(),
        rtol=1e-4,
    )
    energy = sum(as_array(loss) for loss in before.discriminator.losses)
    np.testing.assert_allclose(logs["mhe_loss"], energy, rtol=1e-5)


def test_losses_are_those_of_a_step_not_of_another():
    gan = compiled_gan(normalize=False)
    first = {name: v[0] for name, v in fit(gan).items()}
    second = {name: v[0] for name, v in fit(gan).items()}
    for name in first:
        assert first[name] != second[name]


@pytest.mark.parametrize("normalize", [False, True])
def test_first_step_follows_the_gradients(normalize):
    # Adam's first step is the rate times the sign of the gradient.
    rate = 1e-4
    gan = compiled_gan(normalize, rate)
    before = make_gan(normalize=normalize)
    copy_weights(gan, before)
    fit(gan)

    def generator_loss():
        generated = before.generator(NOISE[:BATCH], training=True)
        return softplus(-as_array(before.discriminator(generated))).mean()

    def discriminator_loss():
        generated = gan.generator(MORE_NOISE[:BATCH], training=True)
        fake = as_array(before.discriminator(generated))
        real = as_array(before.discriminator(IMAGES[:BATCH]))
        energy = sum(as_array(loss) for loss in before.discriminator.losses)
        return softplus(fake).mean() + softplus(-real).mean() + energy

    checked = 0
    for loss_of, moved, start in (
        (generator_loss, gan.generator, before.generator),
        (discriminator_loss, gan.discriminator, before.discriminator),
    ):
        for new, old in zip(
            moved.trainable_variables, start.trainable_variables, strict=True
        ):
            value = as_array(old).copy()
            index = np.unravel_index(value.size // 2, value.shape)
            slope = 0.0
            for sign in (1.0, -1.0):
                shifted = value.copy()
                shifted[index] += sign * 3e-3
                old.assign(shifted)
                slope += sign * loss_of() / 6e-3
            old.assign(value)
            if abs(slope) < 5e-4:
                continue
            step = as_array(new)[index] - value[index]
            np.testing.assert_allclose(step, -rate * np.sign(slope), rtol=0.02)
            checked += 1
    assert checked >= 8


def test_compiled_and_eager_agree():
    gan, eager = compiled_gan(), make_gan(run_eagerly=True)
    copy_weights(gan, eager)
    fit(gan, STEPS)
    fit(eager, STEPS)
    for one, other in zip(gan.weights, eager.weights, strict=True):
        np.testing.assert_allclose(as_array(one), as_array(other), atol=2e-4)


def test_state_moves_once_for_each_call():
    gan = compiled_gan(rate=0.0)
    layer = next(
        layer
        for layer in gan.discriminator.layers
        if isinstance(layer, SpectralNormalization)
        and layer.layer.name == "conv1_0"
    )
    kernel = as_array(layer.layer.kernel)
    matrix = kernel.reshape(-1, kernel.shape[-1]).astype("float64")
    u = RNG.normal(size=matrix.shape[1])
    layer.vectors_u[0].assign(u / np.linalg.norm(u))
    fit(gan, STEPS)
    # Generated images twice in a step; real ones move nothing.
    for _ in range(2 * STEPS):
        u = matrix.T @ (matrix @ u)
        u /= np.linalg.norm(u)
    np.testing.assert_allclose(as_array(layer.vectors_u[0]), u, atol=1e-5)
    assert int(gan.optimizer.iterations) == STEPS
    assert int(gan.optimizer.generator.iterations) == STEPS
    assert int(gan.optimizer.discriminator.iterations) == STEPS


def test_batch_normalisation_follows_generated_features():
    gan = compiled_gan()
    layer = gan.generator.get_layer("dense_bn")
    fit(gan)
    assert np.abs(as_array(layer.moving_mean)).max() > 1e-3


def test_resume_goes_on_as_if_nothing_had_happened(tmp_path):
    gan = make_gan(average=0.9)
    fit(gan, STEPS)
    gan.save_weights(tmp_path / "gan.weights.h5")
    other = make_gan(average=0.9)
    other.load_weights(tmp_path / "gan.weights.h5")
    assert int(other.optimizer.iterations) == STEPS
    fit(gan, STEPS)
    fit(other, STEPS)
    for one, another in zip(gan.weights, other.weights, strict=True):
        np.testing.assert_allclose(as_array(one), as_array(another), atol=1e-6)
    for one, another in zip(
        gan.optimizer.variables, other.optimizer.variables, strict=True
    ):
        np.testing.assert_allclose(as_array(one), as_array(another), atol=1e-6)


def test_average_of_the_generator():
    # Large enough for the last momentum to be the given one.
    average = 0.15
    gan = make_gan(average=average)
    mean = [as_array(w) for w in gan.averaged_generator.weights]
    seen = []
    for step in range(3):
        fit(gan)
        momentum = min(average, (1 + step) / (10 + step))
        weights = [as_array(w) for w in gan.generator.weights]
        mean = [
            momentum * m + (1 - momentum) * w
            for m, w in zip(mean, weights, strict=True)
        ]
        seen.append(momentum)
        for one, other in zip(
            mean, gan.averaged_generator.weights, strict=True
        ):
            np.testing.assert_allclose(one, as_array(other), atol=1e-5)
    assert seen[0] < average == seen[-1]
    # The average draws the images, and does not take part in the training.
    np.testing.assert_allclose(
        as_array(gan(NOISE)), as_array(gan.averaged_generator(NOISE))
    )
    alone = make_gan(average=0.0)
    assert alone.averaged_generator is alone.generator


def test_optimizers_are_serializable():
    optimizer = make_gan(rate=0.25).optimizer
    assert len(optimizer.variables) > 20
    restored = TwoOptimizers.from_config(optimizer.get_config())
    assert restored.name == optimizer.name
    for side in ("generator", "discriminator"):
        one, other = getattr(restored, side), getattr(optimizer, side)
        assert one is not other
        assert one.get_config() == other.get_config()
        assert one.beta_1 == 0.5


# Networks.


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((8, 8, 1), [4, 8]),
        ((16, 16, 3), [4, 8, 16]),
        ((28, 28, 1), [7, 14, 28]),
        ((32, 32, 3), [4, 8, 16, 32]),
    ],
)
def test_sizes_follow_the_images(shape, sides):
    generator = generator_network(shape, width=0.05)
    discriminator = discriminator_network(shape, width=0.05)
    assert generator.input_shape == (None, NOISE_SIZE)
    assert generator.output_shape == (None, *shape)
    assert discriminator.output_shape == (None, 1)
    found = {
        layer.output.shape[1]
        for layer in generator.layers
        if len(layer.output.shape) == 4
    }
    assert sorted(found) == sides
    images = as_array(generator(NOISE[:2]))
    assert np.abs(images).max() <= 1.0


def test_published_sizes():
    generator = generator_network((32, 32, 3))
    discriminator = discriminator_network((32, 32, 3))
    assert [tuple(w.shape) for w in generator.trainable_variables] == [
        (128, 4 * 4 * 512),
        (512,),
        (512,),
        (4, 4, 256, 512),
        (256,),
        (256,),
        (4, 4, 128, 256),
        (128,),
        (128,),
        (4, 4, 64, 128),
        (64,),
        (64,),
        (3, 3, 64, 3),
        (3,),
    ]
    kernels = [
        tuple(w.shape)
        for w in discriminator.trainable_variables
        if "kernel" in w.path
    ]
    assert kernels == [
        (3, 3, 3, 64),
        (4, 4, 64, 128),
        (3, 3, 128, 128),
        (4, 4, 128, 256),
        (3, 3, 256, 256),
        (4, 4, 256, 512),
        (3, 3, 512, 512),
        (4 * 4 * 512, 1),
    ]


def test_published_constants():
    generator = generator_network((32, 32, 3), width=0.05)
    discriminator = discriminator_network((32, 32, 3), width=0.05)
    seen = set()
    for layer in [*generator.layers, *discriminator.layers]:
        kind = type(layer).__name__
        seen.add(kind)
        if kind == "BatchNormalization":
            assert (layer.momentum, layer.epsilon) == (0.9, 2e-5)
        elif kind == "LeakyReLU":
            assert layer.negative_slope == 0.1
        elif hasattr(layer, "kernel"):
            assert layer.kernel_initializer.get_config()["stddev"] == 0.02
    assert {"BatchNormalization", "LeakyReLU", "Conv2DTranspose"} <= seen


@pytest.mark.parametrize(
    "shape", [(28, 32, 1), (9, 9, 1), (4, 4, 1), (80, 80, 3)]
)
def test_images_that_do_not_fit(shape):
    with pytest.raises(ValueError, match="Images must be square"):
        generator_network(shape)


def test_callbacks_set_the_rate_of_both_sides():
    gan = make_gan(normalize=False)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.25)
    gan.fit(
        (IMAGES, NOISE, MORE_NOISE), batch_size=BATCH, verbose=0,
        callbacks=[schedule],
    )  # fmt: skip
    for side in (gan.optimizer, gan.optimizer.generator,
                 gan.optimizer.discriminator):  # fmt: skip
        assert as_array(side.learning_rate) == 0.25

"""The published MHE-GAN: does diversity of neurons help a discriminator?

Trains SN-DCGAN, the networks of Liu et al., "Learning towards Minimum
Hyperspherical Energy" (NeurIPS 2018), whose discriminator has spectral
normalization, hyperspherical energy, both or neither. You learn how to

- put `MHE` and `SpectralNormalization` on the kernels of a discriminator,
- write a training step of two alternate updates that runs in the `fit` of
  TensorFlow, JAX and PyTorch,
- score images by what a classifier says of them, in a few lines of NumPy.

Without options it trains on scikit-learn's digits, in about three minutes:

    KERAS_BACKEND=torch python examples/mhe_gan.py

The published run, and three seeds of two variants to compare:

    python examples/mhe_gan.py --dataset cifar10 --recipe published
    python examples/mhe_gan.py --variant sn --seeds 0 1 2
    python examples/mhe_gan.py --variant sn_mhe --seeds 0 1 2
    python examples/compare.py runs/gan_digits

`score_gan.py` scores generated images by Inception; `docs/mhe_gan.md` maps the
published programs' options to these.
"""

import dataclasses
import functools
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import runs
import filelock
import keras
import numpy as np
from keras import layers, ops
from PIL import ImageOps

import data
import keras_mhe
from keras_mhe import MHE
from keras_mhe.layers import SpectralNormalization, held_singular_vectors
from keras_mhe.ops import singular_values


@dataclasses.dataclass(frozen=True)
class Options(runs.Options):
    """Trains a GAN with or without energy; what is None is of the recipe."""

    variant: Literal["baseline", "sn", "mhe", "sn_mhe"] = "sn_mhe"
    """What the discriminator has: nothing, spectral normalization (sn), an
    energy (mhe), or both."""
    power_s: Literal["published", "0", "1", "2", "a0", "a1", "a2"] = "published"
    """The published term, or the power of another energy, of angles for a0,
    a1, a2."""
    half_space: bool = False  # The half-space form of another energy.
    strength: float = 1.0  # Factor of the term.
    dataset: data.Dataset = "digits"  # Images; digits are scikit-learn's.
    data_dir: Path | None = None
    """Zip file or folder of images, train/CLASS/NAME and test/CLASS/NAME;
    without it Keras downloads them."""
    recipe: Literal["short", "published"] = "short"
    epochs: int | None = None  # After each the generator is scored.
    steps_per_epoch: int | None = None  # A step updates both networks.
    batch_size: int | None = None
    learning_rate: float | None = None
    width: float | None = None  # Factor of the numbers of filters.
    average: float | None = None
    """Momentum of the average of the generator's weights that draws images;
    0 draws with the weights themselves."""
    samples: int | None = None  # Generated images to score and write.
    seeds: runs.Seeds = (0,)  # A run for each: weights, order and noise.
    output: Path | None = None  # Where the runs are; None: runs/gan_DATASET.


RECIPE = (
    "epochs", "steps_per_epoch", "batch_size", "learning_rate", "width",
    "average", "samples",
)  # fmt: skip
RECIPES = {
    "digits": (12, 50, 64, 5e-4, 0.25, 0.99, 360),
    "fashion_mnist": (16, 500, 32, 5e-4, 0.125, 0.999, 10_000),
    "cifar10": (20, 500, 32, 5e-4, 0.125, 0.999, 10_000),
    "cifar100": (20, 500, 32, 5e-4, 0.125, 0.999, 10_000),
    "published": (40, 5_000, 64, 1e-4, 1.0, 0.0, 50_000),
}

# SN-DCGAN, with or without energy -------------------------------------------

NOISE_SIZE = 128
#: From the smallest feature map to the largest, at width 1.
FILTERS = (512, 256, 128, 64)


def energy_of(options: Options) -> keras.Regularizer | None:
    """Returns the term of a kernel; the published ones are weak, near 1e-6."""
    if "mhe" not in options.variant:
        return None
    if options.power_s == "published":
        name = "sn_gan" if "sn" in options.variant else "gan"
        term = MHE.from_reference(name)
        return type(term)(options.strength * term.strength)
    form = {"power": int(options.power_s[-1]), "half_space": options.half_space}
    if "a" in options.power_s:
        form["distance"] = "angular"
    return MHE(options.strength, **form)


def feature_maps(shape: tuple[int, ...], width: float) -> tuple[int, list[int]]:
    """Returns the side of the smallest map, and filters of all maps."""
    side, doublings = shape[0], 0
    while side % 2 == 0 and side > 4 and doublings < 3:
        side, doublings = side // 2, doublings + 1
    if shape[0] != shape[1] or side > 8 or doublings == 0:
        raise data.UserError(
            "Images must be square, with a side of 8, 16, 28, 32 or the like. "
            f"Received: {shape[0]} x {shape[1]} pixels. Convert them."
        )
    return side, [max(2, round(n * width)) for n in FILTERS[: doublings + 1]]


def kernel(**more: Any) -> dict[str, Any]:
    """Returns arguments of a layer, with an initializer of its own."""
    initializer = keras.initializers.TruncatedNormal(stddev=0.02)
    return {"kernel_initializer": initializer, **more}


def generator_of(shape: tuple[int, ...], width: float) -> keras.Model:
    """Builds the generator, from noise to images in [-1, 1]."""
    side, filters = feature_maps(shape, width)
    noise = keras.Input((NOISE_SIZE,), name="noise")
    x = layers.Dense(side * side * filters[0], **kernel(use_bias=False))(noise)
    x = layers.Reshape((side, side, filters[0]))(x)
    for index, count in enumerate(filters):
        if index > 0:
            more = kernel(use_bias=False)
            x = layers.Conv2DTranspose(count, 4, 2, "same", **more)(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=2e-5)(x)
        x = layers.ReLU()(x)
    x = layers.Conv2D(shape[2], 3, padding="same", **kernel())(x)
    images = layers.Activation("tanh", name="images")(x)
    return keras.Model(noise, images, name="generator")


def discriminator_of(shape: tuple[int, ...], options: Options) -> keras.Model:
    """Builds the discriminator, from images in [-1, 1] to logits.

    The energy is of the kernel as it is stored. Spectral normalization divides
    it where it is used, by its largest singular value.
    """
    _, filters = feature_maps(shape, options.width)
    first, *others = reversed(filters)
    sizes = [(first, 3, 1)]
    for count in others:
        sizes += [(count, 4, 2), (count, 3, 1)]

    def arguments(name: str, **more: Any) -> dict[str, Any]:
        return kernel(kernel_regularizer=energy_of(options), name=name, **more)

    stack = [
        layers.Conv2D(*size, "same", **arguments(f"conv{number}"))
        for number, size in enumerate(sizes, start=1)
    ]
    stack.append(layers.Dense(1, **arguments("logit", use_bias=False)))
    if "sn" in options.variant:
        # It draws from the seed of the kernels, so it comes after them: all
        # variants of a seed begin with the same ones.
        stack = [SpectralNormalization(x, name=f"sn_{x.name}") for x in stack]
    *convolutions, logit = stack
    images = x = keras.Input(shape, name="images")
    for convolution in convolutions:
        x = layers.LeakyReLU(0.1)(convolution(x))
    logits = logit(layers.Flatten()(x))
    return keras.Model(images, logits, name="discriminator")


# The training step ----------------------------------------------------------


@keras.saving.register_keras_serializable(package="keras_mhe_examples")
class GAN(keras.Model):
    """Trains a generator and a discriminator against each other.

    `fit` takes real images in [-1, 1] and noise for each of the two updates.
    """

    def __init__(
        self, generator: Any, discriminator: Any, average: float = 0.0
    ) -> None:
        super().__init__(name="gan")
        self.generator, self.discriminator = generator, discriminator
        self.average, self.averaged_generator = average, generator
        if average > 0:
            self.averaged_generator = keras.models.clone_model(generator)
            self.averaged_generator.set_weights(generator.get_weights())
            self.averaged_generator.trainable = False
        self.means = [keras.metrics.Mean(n) for n in ("loss", "generator_loss")]
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Means over an epoch; `loss` is that of the discriminator."""
        return self.means

    def call(self, noise: Any, training: bool = False) -> Any:
        """Returns generated images."""
        return self.averaged_generator(noise, training=training)

    def step(self, batch: Any) -> dict[str, Any]:
        """Updates the generator, then the discriminator; returns the logs."""
        images, noise, more_noise = keras.tree.flatten(batch)

        def generator_loss() -> Any:
            generated = self.generator(noise, training=True)
            logits = self.discriminator(generated, training=True)
            return ops.mean(ops.softplus(-logits))

        def discriminator_loss() -> Any:
            generated = self.generator(more_noise, training=True)
            generated = ops.stop_gradient(generated)
            fake = self.discriminator(generated, training=True)
            # Singular vectors move once when it sees generated images.
            with held_singular_vectors():
                real = self.discriminator(images, training=True)
            loss = ops.mean(ops.softplus(fake)) + ops.mean(ops.softplus(-real))
            return sum(self.discriminator.losses, loss)

        other = self.descend(generator_loss, self.generator)
        loss = self.descend(discriminator_loss, self.discriminator)
        for mean, value in zip(self.means, (loss, other), strict=True):
            mean.update_state(value)
        if self.average > 0:
            # Early weights are soon forgotten.
            step = ops.cast(self.optimizer.iterations // 2, "float32")
            momentum = ops.minimum(self.average, step / (9 + step))
            pairs = (self.averaged_generator.weights, self.generator.weights)
            for mean, weight in zip(*pairs, strict=True):
                mean.assign(momentum * mean + (1 - momentum) * weight)
        return {mean.name: mean.result() for mean in self.means}

    def descend(self, loss_of: Callable[[], Any], network: keras.Model) -> Any:
        """Moves a network down the gradient of a loss; returns the loss."""
        variables = network.trainable_variables
        loss, gradients = value_and_gradients(loss_of, variables, self)
        # One optimizer for both, as published: it counts two updates a step.
        self.optimizer.apply(gradients, variables)
        return loss

    def train_step(self, *state_and_batch: Any) -> Any:
        """Returns logs; on JAX as a pure function, with the new state."""
        *state, batch = state_and_batch
        if not state:
            return self.step(batch)
        groups = (
            self.trainable_variables, self.non_trainable_variables,
            self.optimizer.variables, self.metrics_variables,
        )  # fmt: skip
        variables, values = map(keras.tree.flatten, (groups, state))
        pairs = list(zip(variables, values, strict=True))
        with keras.StatelessScope(pairs) as scope:
            logs = self.step(batch)
        current = scope.get_current_value
        return logs, keras.tree.map_structure(current, groups)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        names = ("generator", "discriminator", "average")
        serialize = keras.saving.serialize_keras_object
        return {name: serialize(getattr(self, name)) for name in names}

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None) -> "GAN":
        """Returns a pair of these arguments."""
        read = keras.saving.deserialize_keras_object
        return cls(**{n: read(v, custom_objects) for n, v in config.items()})


def value_and_gradients(
    loss_of: Callable[[], Any], variables: list[Any], model: keras.Model
) -> tuple[Any, list[Any]]:
    """Returns a loss, and its gradients by some variables of the model."""
    values = [variable.value for variable in variables]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_of()
        return loss, tape.gradient(loss, values)
    if keras.backend.backend() == "torch":
        import torch

        loss = loss_of()
        return loss.detach(), torch.autograd.grad(loss, values)
    import jax

    # What the loss assigns, such as moving means, is a result of the function.
    state = model.non_trainable_variables
    outside = [(variable, variable.value) for variable in model.variables]

    def pure(values: list[Any]) -> tuple[Any, list[Any]]:
        inside = [*outside, *zip(variables, values, strict=True)]
        with keras.StatelessScope(inside) as scope:
            loss = loss_of()
        return loss, [scope.get_current_value(variable) for variable in state]

    (loss, new), gradients = jax.value_and_grad(pure, has_aux=True)(values)
    for variable, value in zip(state, new, strict=True):
        variable.assign(value)
    return loss, gradients


# Scores ---------------------------------------------------------------------

#: Of the classifier's training, which has four passes if that is more.
LEAST_STEPS = 1_500


def classifier_score(logits: np.ndarray) -> float:
    """Exp of the mean divergence of labels from their mean, 1 or more."""
    logits = logits.astype("float64")
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    p = np.exp(log_p)
    log_mean = np.log(p.mean(axis=0) + 1e-300)  # Some label may never come.
    divergence = np.sum(p * (log_p - log_mean), axis=1)
    return float(np.exp(divergence.mean()))


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Squared distance of the normal distributions that fit features best."""
    one, other = one.astype("float64"), other.astype("float64")
    a, b = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    # The trace of a root of a @ b, whose eigenvalues are real and >= 0.
    root = np.sqrt(np.linalg.eigvals(a @ b).real.clip(min=0)).sum()
    difference = one.mean(axis=0) - other.mean(axis=0)
    return float(difference @ difference + np.trace(a + b) - 2 * root)


def train_classifier(images: data.Images) -> keras.Model:
    """Trains a small network on the images."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input(images.x_train.shape[1:], name="images")
    for filters, stride in ((32, 1), (64, 2), (128, 2)):
        x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(64, activation="relu", name="features")(x)
    x = layers.Dense(images.num_classes)(x)
    model = keras.Model(inputs, x, name="classifier")
    steps = -(-len(images.x_train) // 64)
    passes = max(4, -(-LEAST_STEPS // steps))
    rate = keras.optimizers.schedules.CosineDecay(2e-3, passes * steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    pixels = to_network(images.x_train)
    model.fit(pixels, images.y_train, batch_size=64, epochs=passes, verbose=2)
    return model


def scorer_of(images: data.Images, count: int, root: Path) -> Callable:
    """Returns what scores images, by a classifier that all runs share."""
    path = root / f"classifier_{zlib.crc32(images.x_train):08x}.keras"
    root.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(root / ".classifier.lock"):  # Others wait for it.
        if not path.exists():
            print(f"{path}: training the classifier that scores", flush=True)
            runs.write(path, train_classifier(images).save)
    model = runs.load_model(path)
    features = model.get_layer("features").output
    network = keras.Model(model.inputs, [model.output, features])

    def outputs(x: np.ndarray) -> Any:
        return network.predict(to_network(x), batch_size=500, verbose=0)

    _, real = outputs(at_most(count, images.x_train, images.y_train))

    def score(x: np.ndarray) -> dict[str, float]:
        logits, features = outputs(x)
        return {
            "classifier_score": classifier_score(logits),
            "frechet_distance": frechet_distance(features, real),
        }

    return score


def to_network(images: np.ndarray) -> np.ndarray:
    """Brings pixels 0 to 255 to [-1, 1]."""
    return images.astype("float32") / 127.5 - 1


def at_most(count: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Draws images, of each class alike."""
    return data.subset(x, y, min(count, len(x)), seed=0)[0]


def training_batches(x: Any, options: Options, seed: int) -> runs.Batches:
    """Returns batches of real images, with noise for both updates."""

    def make(chosen: np.ndarray, generator: Any) -> Any:
        noise = generator.normal(size=(2, len(chosen), NOISE_SIZE))
        return ((to_network(x[chosen]), *noise.astype("float32")),)

    size, steps = options.batch_size, options.steps_per_epoch
    return runs.Batches(len(x), size, make, seed=seed, steps=steps)


def generate(generator: keras.Model, count: int, seed: int) -> np.ndarray:
    """Returns generated images, uint8, the same for a seed."""
    noise = np.random.default_rng((seed, 0, 2)).normal(size=(count, NOISE_SIZE))
    x = generator.predict(noise.astype("float32"), batch_size=500, verbose=0)
    return np.rint((x + 1) * 127.5).astype("uint8")


def write_images(images: np.ndarray, folder: Path, epoch: int) -> None:
    """Writes images, and 64 of them in rows of eight, small ones enlarged."""
    save = functools.partial(np.savez_compressed, images=images)
    runs.write(folder / "samples.npz", save)
    images = np.resize(images, (64, *images.shape[1:]))  # Repeats few ones.
    images = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)])
    rows = [np.concatenate(row, axis=1) for row in np.split(images, 8)]
    sheet = keras.utils.array_to_img(np.concatenate(rows), scale=False)
    sheet = ImageOps.scale(sheet, max(1, 32 // images.shape[1]), resample=0)
    runs.write(folder / f"epoch_{epoch:03d}.png", sheet.save)


# Training -------------------------------------------------------------------

#: What a finished run has measured, and what is printed of it.
METRIC = "classifier_score"
#: All methods are watched by the same energy, whatever they train with.
WATCHED = {
    "power": 2, "distance": "euclidean", "half_space": False,
    "layers": ["discriminator"],
}  # fmt: skip
PICTURES = {
    "training.png": {
        "classifier_score": "classifier score: larger is better",
        "frechet_distance": "Frechet distance: smaller is better",
        "generator_loss": "loss of the generator",
        "loss": "loss of the discriminator, energy included",
    },
    "discriminator.png": {
        "energy_gap": "energy gap: 0 optimal, 1 random",
        "sigma": "largest singular value",
    },
}


def singular_values_of(network: keras.Model) -> dict[str, float]:
    """Returns the largest singular value of each kernel."""
    largest = {}
    for layer in network.layers:
        if isinstance(layer, SpectralNormalization):
            (kernel,) = layer.normalized_kernels()
        elif (kernel := getattr(layer, "kernel", None)) is None:
            continue
        largest[f"sigma/{layer.name}"] = float(singular_values(kernel)[0])
    return largest


def build(shape: tuple[int, ...], options: Options) -> GAN:
    """Returns the compiled pair."""
    generator = generator_of(shape, options.width)
    gan = GAN(generator, discriminator_of(shape, options), options.average)
    rate = options.learning_rate
    gan.compile(keras.optimizers.Adam(rate, beta_1=0.5, epsilon=1e-8))
    gan.optimizer.build(gan.trainable_variables)
    return gan


def draw(history: Any, before: Any, folder: Path) -> None:
    """Draws the logs, and the gaps of an earlier audit."""
    gaps = {f"energy_gap/{row.layer}": row.gap for row in before}
    for name, titles in PICTURES.items():
        figure = runs.draw_history(history, titles, gaps)
        runs.save_figure(figure, folder / name)


def run(
    options: Options, seed: int, images: data.Images, score: Any, folder: Path
) -> dict[str, Any]:
    """Trains, draws and scores a generator; returns the metrics."""
    keras.utils.set_random_seed(seed)
    gan = build(images.x_train.shape[1:], options)

    def look(epoch: int, logs: dict[str, float]) -> None:
        images = generate(gan.averaged_generator, options.samples, seed)
        logs |= score(images) | singular_values_of(gan.discriminator)
        write_images(images, folder, epoch + 1)

    before = keras_mhe.audit(gan, **WATCHED)
    batches = training_batches(images.x_train, options, seed)
    gan.fit(
        batches,
        epochs=options.epochs,
        initial_epoch=runs.restore(gan, folder, 2 * len(batches)),
        shuffle=False,
        callbacks=[
            keras_mhe.callbacks.EnergyMonitor(**WATCHED, per_layer=True),
            keras.callbacks.LambdaCallback(on_epoch_end=look),
            *runs.callbacks(folder, batches),
        ],
    )
    runs.write(folder / "generator.keras", gan.averaged_generator.save)
    history = runs.read_history(folder)
    draw(history, before, folder)
    real = score(at_most(options.samples, images.x_test, images.y_test))
    metrics = {
        **{name: float(history[name][-1]) for name in (*real, "energy_gap")},
        **{f"real_{name}": value for name, value in real.items()},
        "best_classifier_score": float(history["classifier_score"].max()),
        "steps": int(gan.optimizer.iterations) // 2,
        "images": images.source,
    }
    runs.write_json(folder / runs.METRICS, metrics)
    return metrics


def work(given: Options) -> None:
    """Runs each seed, or goes on with what there is."""
    images = data.load_images(given.dataset, given.data_dir)
    name = given.dataset if given.recipe == "short" else "published"
    recipe = dict(zip(RECIPE, RECIPES[name], strict=True))
    options = runs.filled(given, recipe)
    feature_maps(images.x_train.shape[1:], options.width)  # Can be refused.
    named = {"variant", "dataset", "data_dir", "seeds", "output"}
    name = runs.name_of(given, given.variant, without=named)
    root = given.output or Path("runs") / f"gan_{given.dataset}"
    score = scorer_of(images, options.samples, root)
    for seed in given.seeds:
        folder = root / f"{name}_seed_{seed}"
        opened = runs.open_run(folder, "mhe_gan", seed, options, METRIC)
        with opened as finished:
            metrics = finished or run(options, seed, images, score, folder)
        print(f"{folder}: classifier score {metrics[METRIC]:.3f}")
        keras.utils.clear_session()


main = functools.partial(runs.main, Options, work)

if __name__ == "__main__":
    sys.exit(main())

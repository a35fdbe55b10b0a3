"""The published CIFAR-100 experiment: does diversity of neurons help?

Trains CNN-9, the network of Liu et al., "Learning towards Minimum
Hyperspherical Energy" (NeurIPS 2018), with an energy on every kernel. You
learn how to

- put `MHE` on the layers of a model, together with weight decay,
- watch the energies while it trains, with `EnergyMonitor`,
- draw the angles between neurons before and after.

Without options it trains a quarter of the width on scikit-learn's digits, in
about a minute:

    KERAS_BACKEND=jax python examples/cifar100.py

The published run, and three seeds of two methods to compare:

    python examples/cifar100.py --dataset cifar100 --recipe published
    python examples/cifar100.py --model_name baseline --seeds 0 1 2
    python examples/cifar100.py --model_name half_mhe --seeds 0 1 2
    python examples/compare.py runs/digits

`docs/cifar.md` maps the published program's options to these.
"""

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, Literal

import runs
import keras
import numpy as np
from keras import layers, ops

import data
import keras_mhe
from keras_mhe import constraints, initializers, regularizers


@dataclasses.dataclass(frozen=True)
class Options(runs.Options):
    """Trains CNN-9 with or without energy; what is None is of the recipe."""

    model_name: Literal[
        "baseline", "mhe", "half_mhe", "gap", "compressive", "covering",
        "gram_determinant", "orthogonal", "polarization", "separation",
        "uniformity",
    ] = "half_mhe"  # fmt: skip
    """Term of every kernel: none, the published energy in full or half space,
    half-space energy in units of its gap, or a relative."""
    power_s: Literal["0", "1", "2", "a0", "a1", "a2"] = "2"
    """Power of the published energy; of angles for a0, a1, a2."""
    strength: float = 1.0  # The classifier has ten times of it, but for gap.
    constraint: Literal["none", "unit_sphere", "descent", "max_energy"] = "none"
    """What holds after each step: length 1, a step of 0.01 downhill in the
    energy, or an energy that is no higher than that of random neurons."""
    initializer: Literal["he_normal", "minimum_energy"] = "he_normal"
    dataset: data.Dataset = "digits"  # Images; digits are scikit-learn's.
    data_dir: Path | None = None
    """Zip file or folder of images, train/CLASS/NAME and test/CLASS/NAME;
    without it Keras downloads them."""
    train_size: int | None = None  # Of each class alike; None: all images.
    validation_size: int | None = None  # Test images for curves; None: all.
    recipe: Literal["short", "published"] = "short"
    """Also of loss and schedule: for runs of minutes, or as published."""
    epochs: int | None = None
    steps_per_epoch: int | None = None  # None: one pass, or 500 as published.
    batch_size: int | None = None
    learning_rate: float | None = None  # The largest of the schedule.
    weight_decay: float | None = None  # Of half the squared norm of variables.
    width: float | None = None  # Of the numbers of filters; 1 is CNN-9.
    augmentation: Literal["none", "crop", "crop_flip"] | None = None
    seeds: runs.Seeds = (0,)
    """A run for each: weights, order, augmentation, images of train_size."""
    output: Path | None = None  # Where the runs are; None: runs/DATASET.


SHORT = {
    "epochs": 20, "batch_size": 128, "learning_rate": 0.05, "width": 0.25,
    "weight_decay": 5e-4, "augmentation": "crop_flip",
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "digits": {**SHORT, "epochs": 30, "batch_size": 64, "augmentation": "none"},
    "fashion_mnist": {**SHORT, "epochs": 10},
    "cifar10": SHORT,
    "cifar100": {**SHORT, "epochs": 30},
    # 42,500 steps, of which the first thousands stay near chance.
    "published": {
        **SHORT, "epochs": 85, "steps_per_epoch": 500, "learning_rate": 0.1,
        "width": 1.0,
    },
}  # fmt: skip

# What acts on the neurons ---------------------------------------------------

RELATIVES = {
    "compressive": regularizers.CompressiveMHE,
    "covering": regularizers.Covering,
    "gram_determinant": regularizers.GramDeterminant,
    "polarization": regularizers.Polarization,
    "separation": regularizers.Separation,
    "uniformity": regularizers.Uniformity,
}


def kernel_arguments(options: Options, *, is_output: bool) -> dict[str, Any]:
    """Returns what acts on a kernel: regularizer, constraint, initializer.

    As published, the classifier's term is ten times as strong and in full
    space, that of hidden layers (but for `mhe`) in half space.
    """
    name, form = options.model_name, {"half_space": not is_output}
    strength = options.strength * (10.0 if is_output else 1.0)
    decay, term = keras.regularizers.L2(options.weight_decay / 2), None
    if name in ("mhe", "half_mhe"):
        published = keras_mhe.MHE.from_reference
        term = published(name, options.power_s, output_layer=is_output)
    elif name == "gap":  # 0 at the optimum, 1 for random neurons: all alike.
        term = keras_mhe.MHE(options.strength, half_space=True, units="gap")
    elif name == "orthogonal":
        term = OrthogonalColumns(strength, mode="columns")
    elif name != "baseline":
        term = RELATIVES[name](strength, **form)
    # He et al. as published: Keras' HeNormal is a truncated normal.
    initializer = keras.initializers.VarianceScaling(
        2.0, mode="fan_in", distribution="untruncated_normal"
    )
    if options.initializer == "minimum_energy":
        initializer = initializers.MinimumEnergy(initializer, **form)
    constraint = {
        "none": None,
        "unit_sphere": constraints.UnitSphere(),
        "descent": constraints.EnergyDescent(**form),
        "max_energy": constraints.MaxEnergy(gap=1.0, **form),
    }[options.constraint]
    both = regularizers.RegularizerSum([decay, term]) if term else decay
    return {
        "kernel_regularizer": both,
        "kernel_constraint": constraint,
        "kernel_initializer": initializer,
    }


@keras.saving.register_keras_serializable(package="keras_mhe_examples")
class OrthogonalColumns(keras.regularizers.OrthogonalRegularizer):
    """`OrthogonalRegularizer` of Keras on a kernel as a matrix of neurons."""

    def __call__(self, inputs: Any) -> Any:
        """Returns the term of a kernel whose last axis counts the neurons."""
        return super().__call__(ops.reshape(inputs, (-1, inputs.shape[-1])))


# CNN-9 ----------------------------------------------------------------------


def cnn9(shape: tuple[int, ...], num_classes: int, options: Options) -> Any:
    """Builds CNN-9, from pixels in [0, 255] to logits.

    Nine convolutions of 3x3, a pooling after each three of them; one over all
    that is left of the image (4x4 of 32x32); one of 1x1 to the classes.
    """
    decay = keras.regularizers.L2(options.weight_decay / 2)
    momentum = 0.999 if options.recipe == "published" else 0.9

    def convolution(count: float, size: int, padding: str, name: str) -> Any:
        # Each has its own initializer: one object draws the same each time.
        acting = kernel_arguments(options, is_output=name == "classifier")
        given = {"padding": padding, "use_bias": False, "name": name}
        return layers.Conv2D(max(2, round(count)), size, **given, **acting)

    images = keras.Input(shape, name="images")
    x = layers.Rescaling(1 / 128, offset=-127.5 / 128)(images)
    for block, filters in enumerate((64, 128, 256), start=1):
        for index in (1, 2, 3):
            name = f"conv{block}_{index}"
            x = convolution(filters * options.width, 3, "same", name)(x)
            decays = {"beta_regularizer": decay, "gamma_regularizer": decay}
            x = layers.BatchNormalization(momentum=momentum, **decays)(x)
            x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
    x = convolution(256 * options.width, x.shape[1], "valid", "features")(x)
    x = convolution(num_classes, 1, "valid", "classifier")(x)
    return keras.Model(images, layers.Flatten()(x), name="cnn9")


# Loss and schedule ----------------------------------------------------------

LABEL_SMOOTHING = 0.01


@keras.saving.register_keras_serializable(package="keras_mhe_examples")
class PublishedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of `softmax + 1e-4`, which bounds the loss of an image."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each image from one-hot labels and logits."""
        num_classes = ops.shape(y_pred)[-1]
        target = (1 - LABEL_SMOOTHING) * y_true + LABEL_SMOOTHING / num_classes
        return -ops.sum(target * ops.log(ops.softmax(y_pred) + 1e-4), axis=-1)


def compile_model(model: Any, options: Options, total_steps: int) -> None:
    """Compiles with SGD; the rate falls in steps as published, or smoothly."""
    rate = options.learning_rate
    if options.recipe == "published":
        loss = PublishedCrossEntropy()
        parts = (20_000 / 42_500, 30_000 / 42_500, 37_500 / 42_500)
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
            [max(1, round(part * total_steps)) for part in parts],
            [rate, rate / 10, rate / 100, rate / 1000],
        )
    else:
        loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=LABEL_SMOOTHING
        )
        schedule = runs.rising_and_falling(rate, total_steps)
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"])


# Images ---------------------------------------------------------------------


def random_crops(images: np.ndarray, generator: Any) -> np.ndarray:
    """Crops images at random places after mirroring their border.

    The border is an eighth of the height: 4 of 32 pixels, as published.
    """
    _, height, width, _ = images.shape
    border = height // 8
    sides = ((0, 0), (border, border), (border, border), (0, 0))
    padded = np.pad(images, sides, "symmetric")
    places = generator.integers(0, 2 * border + 1, (len(images), 2))
    crops = [
        image[top : top + height, left : left + width]
        for image, (top, left) in zip(padded, places, strict=True)
    ]
    return np.stack(crops)


def training_batches(x: Any, y: Any, options: Options, seed: int) -> Any:
    """Returns augmented batches of images and one-hot labels."""

    def make(chosen: np.ndarray, generator: Any) -> tuple[Any, Any]:
        images = x[chosen]
        if options.augmentation != "none":
            images = random_crops(images, generator)
        if options.augmentation == "crop_flip":
            images = runs.random_flips(images, generator)
        return images.astype("float32"), y[chosen]

    size, steps = options.batch_size, options.steps_per_epoch
    return runs.Batches(len(x), size, make, seed=seed, steps=steps)


# Training -------------------------------------------------------------------

#: What a finished run has measured, and what is printed of it.
METRIC = "test_accuracy"
#: All methods are watched by the same energies, whatever they train with.
FORM = {"power": 2, "distance": "euclidean"}
WATCHED = {**FORM, "half_space": True, "layers": ["conv*", "features"]}
OUTPUT = {**FORM, "half_space": False, "layers": ["classifier"]}


def fit(
    model: Any,
    options: Options,
    seed: int,
    images: Any,
    shown: Any,
    folder: Path,
) -> None:
    """Trains to the end, from wherever the folder's run stopped."""
    one_hot = np.eye(model.output_shape[1], dtype="float32")
    labels = one_hot[images.y_train]
    batches = training_batches(images.x_train, labels, options, seed)
    compile_model(model, options, options.epochs * len(batches))
    callbacks = [
        keras_mhe.callbacks.EnergyMonitor(**WATCHED, per_layer=True),
        *runs.callbacks(folder, batches),
    ]
    if options.model_name.endswith("mhe") and options.strength != 1:
        # The published terms have a strength of their own.
        schedule = keras_mhe.callbacks.StrengthSchedule
        callbacks.insert(0, schedule(lambda _: options.strength))
    model.fit(
        batches,
        epochs=options.epochs,
        initial_epoch=runs.restore(model, folder, len(batches)),
        validation_data=(shown[0].astype("float32"), one_hot[shown[1]]),
        validation_batch_size=500,
        shuffle=False,
        callbacks=callbacks,
    )


def run(
    options: Options, seed: int, images: data.Images, shown: Any, folder: Path
) -> dict[str, Any]:
    """Trains, draws and measures a model; returns the metrics."""
    keras.utils.set_random_seed(seed)
    model = cnn9(images.x_train.shape[1:], images.num_classes, options)
    hidden = keras_mhe.audit(model, **WATCHED)
    classifier = keras_mhe.audit(model, **OUTPUT)
    fit(model, options, seed, images, shown, folder)
    draw(model, hidden, classifier, folder)
    logits = model.predict(images.x_test, batch_size=500, verbose=0)
    history = runs.read_history(folder)
    last = {name: float(values[-1]) for name, values in history.items()}
    metrics = {
        "test_accuracy": float(np.mean(logits.argmax(-1) == images.y_test)),
        "train_accuracy": last["accuracy"],
        **{n: value for n, value in last.items() if n.startswith("energy_gap")},
        "best_val_accuracy": float(history["val_accuracy"].max()),
        "steps": int(model.optimizer.iterations),
        "images": images.source,
    }
    runs.write_json(folder / runs.METRICS, metrics)
    return metrics


def draw(model: Any, hidden: Any, classifier: Any, folder: Path) -> None:
    """Draws curves, and angles between neurons now and in earlier audits."""
    titles = {
        "accuracy": "accuracy",
        "loss": "loss, energies and weight decay included",
        "energy_gap": "energy gap: 0 optimal, 1 random",
    }
    gaps = {f"energy_gap/{row.layer}": row.gap for row in hidden}
    figure = runs.draw_history(runs.read_history(folder), titles, gaps)
    runs.save_figure(figure, folder / "training.png")
    pairs = {"angles": (hidden, WATCHED), "classifier": (classifier, OUTPUT)}
    for name, (before, watched) in pairs.items():
        figure = keras_mhe.audit(model, **watched).plot(before=before)
        runs.save_figure(figure, folder / f"{name}.png")


def work(given: Options) -> None:
    """Runs each seed, or goes on with what there is."""
    images = data.load_images(given.dataset, given.data_dir)
    size, test = given.validation_size, (images.x_test, images.y_test)
    shown = data.subset(*test, size, seed=0)
    recipe = given.dataset if given.recipe == "short" else "published"
    options = runs.filled(given, RECIPES[recipe])
    has_power = given.model_name.endswith("mhe")
    title = given.model_name + (f"_{given.power_s}" if has_power else "")
    named = {"model_name", "power_s", "dataset", "data_dir", "seeds", "output"}
    name = runs.name_of(given, title, without=named)
    root = given.output or Path("runs") / given.dataset
    for seed in given.seeds:
        training = (images.x_train, images.y_train)
        x, y = data.subset(*training, given.train_size, seed)
        chosen = dataclasses.replace(images, x_train=x, y_train=y)
        folder = root / f"{name}_seed_{seed}"
        opened = runs.open_run(folder, "cifar100", seed, options, METRIC)
        with opened as finished:
            metrics = finished or run(options, seed, chosen, shown, folder)
        print(f"{folder}: {metrics[METRIC]:.2%} of the test images")
        keras.utils.clear_session()


main = functools.partial(runs.main, Options, work)

if __name__ == "__main__":
    sys.exit(main())

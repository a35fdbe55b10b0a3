"""Fine-tuning with MHE: a network of somebody else, new classes, few images.

The network was trained on the digits 0 to 4, without any thought of diversity.
Here it learns all ten digits from thirty images of each. You learn how to

- tell how diverse the neurons of a network are, with `audit`,
- put `MHE` on a network that exists and has a new head, with `regularize`,
- draw what became of the neurons, with `plots`,
- take the energy off again before you give the network away.

Three seeds with MHE take a minute; three without, and a table of both:

    KERAS_BACKEND=jax python examples/fine_tuning.py
    KERAS_BACKEND=jax python examples/fine_tuning.py --strength 0
    KERAS_BACKEND=jax python examples/compare.py runs/fine_tuning
"""

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import runs
import keras
from keras import layers

import data
import keras_mhe
from keras_mhe import MHE, plots


@dataclasses.dataclass(frozen=True)
class Options(runs.Options):
    """Fine-tunes a small network of digits, with or without MHE."""

    strength: float = 1.0
    """Factor of the energy; the new head has ten times of it. 0: no MHE."""
    images: int = 300  # To train on, equally many of each digit.
    epochs: int = 30
    seeds: runs.Seeds = (0, 1, 2)
    """A run for each: weights of the new head, and the order of images."""
    output: Path = Path("runs/fine_tuning")  # Folder of the runs.


#: What a finished run has measured, and what is printed of it.
METRIC = "test_accuracy"
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# The network of somebody else -----------------------------------------------


def pretrain(images: data.Images, path: Path) -> None:
    """Trains on the digits 0 to 4, and saves."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(24, 3, padding="same", name="conv_1"),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", name="conv_2"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="features"),
            layers.Dense(5, name="old_classes"),
        ]
    )
    network.compile(keras.optimizers.Adam(1e-3), LOSS, metrics=["accuracy"])
    old = images.y_train < 5
    x, y = images.x_train[old].astype("float32"), images.y_train[old]
    network.fit(x, y, epochs=15, verbose=0)
    runs.write(path, network.save)


# A new head, and MHE --------------------------------------------------------


def with_new_head(path: Path, strength: float) -> keras.Model:
    """Returns the network with ten classes, and MHE on what it keeps."""
    body = runs.load_model(path)
    features = body.get_layer("features").output
    classes = layers.Dense(10, name="classes")(features)
    model = keras.Model(body.inputs, classes)
    if strength:
        # It knows which axes count the neurons of a layer, and that `classes`
        # makes the output: its neurons are spread in full space.
        keras_mhe.regularize(
            model,
            MHE(strength, half_space=True),
            output_layer=MHE(10 * strength),
        )
    model.compile(keras.optimizers.Adam(1e-3), LOSS, metrics=["accuracy"])
    return model


def audit(model: keras.Model) -> keras_mhe.analysis.Audit:
    """Measures the layers that are kept, in half space as `MHE` does."""
    return keras_mhe.audit(model, layers=["conv_1", "conv_2", "features"])


def run(
    options: Options, seed: int, images: data.Images, path: Path, folder: Path
) -> dict[str, Any]:
    """Fine-tunes, draws and saves; returns the metrics."""
    keras.utils.set_random_seed(seed)
    model = with_new_head(path, options.strength)
    before = audit(model)
    # The same images for each seed.
    x, y = data.subset(images.x_train, images.y_train, options.images, seed=0)
    x_test = images.x_test.astype("float32")
    model.fit(
        x.astype("float32"),
        y,
        epochs=options.epochs,
        validation_data=(x_test, images.y_test),
        callbacks=[keras.callbacks.CSVLogger(str(folder / runs.HISTORY))],
        verbose=0,
    )
    after = audit(model)
    figure = plots.comparison(before, after, labels=("before", "fine-tuned"))
    runs.save_figure(figure, folder / "comparison.png")
    runs.save_figure(after.plot(before=before), folder / "angles.png")
    (head,) = keras_mhe.audit(model, layers=["classes"])
    # Without the energy the file loads where there is no `keras_mhe`.
    if options.strength:
        keras_mhe.unregularize(model)
    runs.write(folder / runs.MODEL, model.save)
    accuracy = runs.read_history(folder)["val_accuracy"][-1]
    metrics = {"test_accuracy": accuracy, "gap_of_classes": head.gap}
    metrics |= {f"gap_of_{row.layer}": row.gap for row in after}
    runs.write_json(folder / runs.METRICS, metrics)
    return metrics


def work(options: Options) -> None:
    """Runs each seed that is not finished."""
    images = data.load_images("digits")
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "pretrained.keras"
    if not path.exists():
        pretrain(images, path)
    print(audit(runs.load_model(path)))
    title = f"strength_{options.strength:g}"
    name = runs.name_of(options, title, {"strength", "seeds", "output"})
    for seed in options.seeds:
        folder = options.output / f"{name}_seed_{seed}"
        opened = runs.open_run(folder, "fine_tuning", seed, options, METRIC)
        with opened as finished:
            metrics = finished or run(options, seed, images, path, folder)
        print(f"{folder}: {metrics[METRIC]:.2%} of the test images")


main = functools.partial(runs.main, Options, work)

if __name__ == "__main__":
    sys.exit(main())

"""The classifier that scores images: small, trained on the same data set."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

from common.dataset_types import cache_folder, prepare_cache
from common.image_data import ImageData
from common.run_folder import (
    read_json,
    versions,
    write_atomically,
    write_json,
)
from common.schedules import warmup_and_cosine
from common.verified_files import sha256_of
from generation.batches import to_network

#: Of recipe and network; scores of different versions do not compare.
VERSION = 1
#: Length of the features, the layer before the logits.
FEATURE_SIZE = 64
#: Passes over the training images, at least so many steps.
_EPOCHS, _MIN_STEPS, _BATCH_SIZE = 8, 1500, 64


@dataclass(frozen=True)
class Classifier:
    """What scores images.

    Attributes:
        evaluate: From uint8 images to their logits and features.
        name: Says which network it is, and its version.
        sha256: Checksum of the file that it came from.
        test_accuracy: Share of the test images that it gets right, `None` if
            it was trained on other images.
    """

    evaluate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    name: str
    sha256: str
    test_accuracy: float | None

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns logits and features of uint8 images."""
        return self.evaluate(images)


def classifier_for(data: ImageData, cache: Path | None = None) -> Classifier:
    """Loads the data set's classifier, or trains and keeps it.

    Args:
        data: The data set, whose training images it learns.
        cache: Folder of the files; `datasets` in `KERAS_HOME`, or in
            `~/.keras`, if `None`.

    Returns:
        The classifier. It is the same for all runs that share the folder,
        whatever their backend.

    Raises:
        DataError: If the folder cannot be written to.
    """
    cache = cache or cache_folder()
    digest = _fingerprint(data)
    name = f"{data.name}_classifier_v{VERSION}_{digest[:8]}"
    path, record = cache / f"{name}.keras", cache / f"{name}.json"
    known = read_json(record)
    if known is None or not path.exists() or sha256_of(path) != known["sha256"]:
        prepare_cache(cache)
        print(f"training the classifier that scores: {path}", flush=True)
        model = _trained(data)
        write_atomically(path, model.save)
        accuracy = _accuracy(model, data.x_test, data.y_test)
        known = {
            "sha256": sha256_of(path),
            "test_accuracy": accuracy,
            "versions": versions(),
        }
        write_json(record, known)
    model = keras.models.load_model(path)
    both = keras.Model(
        model.inputs, [model.output, model.get_layer("features").output]
    )
    return Classifier(
        lambda images: both.predict(
            to_network(images), batch_size=500, verbose=0
        ),
        name,
        known["sha256"],
        known["test_accuracy"],
    )


def _trained(data: ImageData) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = _network(data.x_train.shape[1:], len(data.class_names))
    steps_per_epoch = -(-len(data.x_train) // _BATCH_SIZE)
    epochs = max(_EPOCHS, -(-_MIN_STEPS // steps_per_epoch))
    model.compile(
        keras.optimizers.Adam(
            warmup_and_cosine(2e-3, epochs * steps_per_epoch)
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(
        to_network(data.x_train),
        data.y_train,
        batch_size=_BATCH_SIZE,
        epochs=epochs,
        verbose=2,
    )
    return model


def _network(image_shape: tuple[int, ...], num_classes: int) -> keras.Model:
    images = keras.Input(image_shape, name="images")
    x = images
    for index, filters in enumerate((32, 64, 128)):
        x = layers.Conv2D(
            filters,
            3,
            strides=1 if index == 0 else 2,
            padding="same",
            use_bias=False,
            name=f"conv{index}",
        )(x)
        x = layers.BatchNormalization(name=f"bn{index}")(x)
        x = layers.ReLU(name=f"relu{index}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(FEATURE_SIZE, activation="relu", name="features")(x)
    return keras.Model(images, layers.Dense(num_classes, name="logits")(x))


def _accuracy(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    logits = model.predict(to_network(x), batch_size=500, verbose=0)
    return float(np.mean(np.argmax(logits, axis=-1) == y))


def _fingerprint(data: ImageData) -> str:
    """Returns a checksum of what is learned."""
    digest = hashlib.sha256(np.ascontiguousarray(data.x_train).tobytes())
    digest.update(data.y_train.tobytes())
    return digest.hexdigest()

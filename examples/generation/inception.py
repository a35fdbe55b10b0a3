"""Inception from a local file as the classifier that scores images."""

import functools
import hashlib
import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import layers

from common.dataset_types import DataError
from common.verified_files import FileSpec, read_verified, sha256_of
from generation.classifier import Classifier
from generation.tensorflow_process import run_with_tensorflow

#: Images are enlarged to sides of this length, bilinearly.
IMAGE_SIDE = 299
#: Keras' weights; their checksum is that in `keras.applications`.
PUBLISHED = FileSpec(
    "inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
    None,
    "md5:9a0d58056eeedaa3f26cb7ebd46da564",
)
_BATCH_SIZE = 50


def inception_from(path: Path) -> Classifier:
    """Returns Inception as a classifier of images of any size.

    Args:
        path: TensorFlow-GAN's module, a folder with `saved_model.pb`, whose
            scores compare with published ones; or weights of
            `keras.applications.InceptionV3` with its top, `.h5`, another
            network whose scores compare only among themselves. Keras'
            published file is verified by its name and checksum.

    Returns:
        The classifier; images with one channel count as gray.

    Raises:
        DataError: If there is no such file, or it cannot be used.
    """
    if (path / "saved_model.pb").is_file():
        return Classifier(
            functools.partial(_by_module, path),
            f"Inception module {path.name}",
            _digest_of_folder(path),
            None,
        )
    if not path.is_file() or path.suffix != ".h5":
        raise DataError(
            f"{path} is neither a folder with saved_model.pb nor an .h5 file. "
            "Give TensorFlow-GAN's Inception module, unpacked, or Keras' "
            "InceptionV3 weights."
        )
    if path.name == PUBLISHED.name:
        read_verified(path, PUBLISHED)
    model = _keras_inception(path)
    return Classifier(
        functools.partial(_by_keras, model),
        f"Keras InceptionV3 {path.name}",
        sha256_of(path),
        None,
    )


def _keras_inception(path: Path) -> keras.Model:
    try:
        network = keras.applications.InceptionV3(
            weights=str(path), classifier_activation=None
        )
    except Exception as error:
        raise DataError(
            f"{path} does not hold weights of keras.applications.InceptionV3 "
            f"with its top ({type(error).__name__}). Download it again."
        ) from error
    features = network.get_layer("avg_pool").output
    return keras.Model(network.inputs, [network.output, features])


def _by_keras(
    model: keras.Model, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    inputs = keras.Input(images.shape[1:], dtype="uint8", name="images")
    x = layers.Rescaling(1.0 / 127.5, offset=-1.0)(inputs)
    x = layers.Resizing(IMAGE_SIDE, IMAGE_SIDE, "bilinear")(x)
    if images.shape[-1] == 1:
        x = layers.Concatenate()([x, x, x])
    logits, features = keras.Model(inputs, model(x)).predict(
        images, batch_size=_BATCH_SIZE
    )
    return logits, features


def _by_module(path: Path, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "images.npz"
        target = Path(folder) / "features.npz"
        np.savez(source, images=images)
        run_with_tensorflow(
            "inception_module.py", str(path), str(source), str(target)
        )
        with np.load(target, allow_pickle=False) as arrays:
            return arrays["logits"], arrays["features"]


def _digest_of_folder(path: Path) -> str:
    """Returns a checksum of the names and bytes of all files."""
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(str(file.relative_to(path)).encode())
        digest.update(sha256_of(file).encode())
    return digest.hexdigest()

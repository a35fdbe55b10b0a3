"""Scores generated images by Inception, with TensorFlow-GAN.

    KERAS_BACKEND=tensorflow python examples/score_gan.py \
        runs/gan_cifar10/sn_mhe_seed_0/samples.npz \
        --dataset cifar10 --inception inception

You learn how to get Inception's logits and features of images, and from them
the Inception Score, the Frechet and the kernel distance. Needs the extra `gan`,
and Inception in a local folder: the unpacked module that TensorFlow-GAN names,
tfhub.dev/tensorflow/tfgan/eval/inception/1.
"""

import dataclasses
import functools
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import runs
import keras
import numpy as np
import tyro

import data

#: The Inception Score is the mean over so many parts of the images.
PARTS = 10


@dataclasses.dataclass(frozen=True)
class Options(runs.Options):
    """Scores images by Inception."""

    samples: tyro.conf.Positional[Path]
    """NPZ file with `images`, such as the samples.npz of a run."""
    inception: Path  # The unpacked folder of TensorFlow-GAN's Inception.
    dataset: data.Dataset  # Distances are to as many of its training images.
    data_dir: Path | None = None
    """Zip file or folder of images, train/CLASS/NAME and test/CLASS/NAME;
    without it Keras downloads them."""
    output: Path | None = None  # File of the scores; None: beside the samples.


def read_samples(path: Path) -> np.ndarray:
    """Reads the images of an NPZ file, and no pickle."""
    with data.open_file(path) as file:
        try:
            images = np.load(file, allow_pickle=False)["images"]
            if images.dtype != "uint8" or images.ndim != 4:
                raise ValueError(f"{images.dtype} of shape {images.shape}")
            if len(images) < PARTS:
                raise ValueError(f"{len(images)} images")
        except Exception as error:  # Whatever damage makes NumPy raise.
            raise data.UserError(
                f"{path} must be an NPZ file with {PARTS} `images` at least, "
                f"uint8 (num, height, width, channels). Received: {error}."
            ) from error
    return images


def load_inception(folder: Path) -> Callable[[np.ndarray], Any]:
    """Returns a function from images in [0, 255] to logits and features."""
    import tensorflow as tf

    try:
        module = call = tf.saved_model.load(str(folder))
        if not callable(module):  # For TensorFlow 1: named functions.
            functions = module.signatures
            call = functions.get("default") or functions["serving_default"]
    except Exception as error:  # Whatever damaged files make it raise.
        raise data.UserError(
            f"{folder} cannot be loaded ({str(error)[:200]}). Give the "
            "unpacked folder of TensorFlow-GAN's Inception."
        ) from error

    def network(images: np.ndarray) -> Any:
        # The resize of TensorFlow 1, whose pixel centers are not those of
        # today: published scores are made with it.
        x = tf.compat.v1.image.resize_bilinear(images, (299, 299))
        outputs = call((x - 128.0) / 128.0)
        return outputs["logits"], tf.squeeze(outputs["pool_3"], (1, 2))

    return network


def outputs_of(network: Callable[[np.ndarray], Any], images: np.ndarray) -> Any:
    """Returns logits and features of uint8 images, in random order."""
    # Or parts and blocks of sorted images would hold one class.
    images = np.random.default_rng(0).permutation(images)
    bar = keras.utils.Progbar(len(images), unit_name="image")
    found = []
    for start in range(0, len(images), 50):
        batch = images[start : start + 50].astype("float32")
        batch = np.broadcast_to(batch, (*batch.shape[:3], 3))
        found.append([output.numpy() for output in network(batch)])
        bar.add(len(batch))
    return map(np.concatenate, zip(*found, strict=True))


def import_tfgan() -> Any:
    """Imports TensorFlow-GAN's scores under a TensorFlow of today.

    Version 2.1.0, the last one, asks for estimators, on import only: stand-ins
    are enough.
    """
    try:
        import tensorflow as tf

        name = "tensorflow_gan.python.estimator"
        sys.modules.setdefault(name, types.ModuleType(name))
        if not hasattr(tf, "estimator"):
            tf.estimator = types.SimpleNamespace(SessionRunHook=object)
        with warnings.catch_warnings():
            # tensorflow-hub reads its own version with pkg_resources.
            warnings.simplefilter("ignore")
            import tensorflow_gan
    except ImportError as error:
        install = 'Run: pip install ".[examples,gan]"'
        raise data.UserError(f"{error}. {install}") from error
    return tensorflow_gan.eval


def scores_of(
    metrics: Any, logits: np.ndarray, features: np.ndarray, real: np.ndarray
) -> dict[str, float]:
    """Scores images by their logits and features, and features of real ones."""
    import tensorflow as tf

    scores = [
        float(metrics.classifier_score_from_logits(tf.constant(part)))
        for part in np.array_split(logits, PARTS)
    ]
    frechet = metrics.frechet_classifier_distance_from_activations
    kernel = metrics.kernel_classifier_distance_and_std_from_activations
    pair = tf.constant(real), tf.constant(features)
    # Ten blocks or more, of 1,000 images at most and two at least.
    least, most = sorted((len(real), len(features)))
    blocks = max(2, min(max(10, -(-most // 1000)), least // 2))
    distance, error = kernel(*pair, max_block_size=-(-most // blocks))
    return {
        "inception_score": float(np.mean(scores)),
        "inception_score_spread": float(np.std(scores)),
        "frechet_distance": float(frechet(*pair)),
        "kernel_distance": float(distance),
        "kernel_distance_error": float(error),
    }


def work(options: Options) -> None:
    """Reads, scores and writes."""
    samples = read_samples(options.samples)
    images = data.load_images(options.dataset, options.data_dir)
    x, y = images.x_train, images.y_train
    if samples.shape[1:] != x.shape[1:]:
        raise data.UserError(
            f"{options.samples} holds images of shape {samples.shape[1:]}, "
            f"{images.source} of {x.shape[1:]}. Give their --dataset."
        )
    metrics, network = import_tfgan(), load_inception(options.inception)
    real, _ = data.subset(x, y, min(len(x), len(samples)), seed=0)
    _, real_features = outputs_of(network, real)
    scores = scores_of(metrics, *outputs_of(network, samples), real_features)
    about = {"inception": str(options.inception), "images": len(samples)}
    path = options.output or options.samples.with_suffix(".json")
    runs.write_json(path, {**scores, **about, "real_images": len(real)})
    for name, value in scores.items():
        print(f"{name}: {value:.4f}")


main = functools.partial(runs.main, Options, work)

if __name__ == "__main__":
    sys.exit(main())

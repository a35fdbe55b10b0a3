"""Logits and features of images by Inception in TensorFlow's format.

    python inception_module.py MODULE IMAGES.npz FEATURES.npz

A program of its own, started by `generation.inception`, for the same reason as
`tfgan_scores.py`. MODULE is the unpacked folder of the module that
TensorFlow-GAN names, tfhub.dev/tensorflow/tfgan/eval/inception/1, or one that
is called alike: it takes images in [-1, 1] of 299 x 299 pixels and returns
`logits` and `pool_3`.
"""

import sys
from typing import Any

import numpy as np

BATCH_SIZE = 50


def logits_and_features(
    module: Any, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Evaluates a loaded module.

    Args:
        module: From `tf.saved_model.load`.
        images: uint8, shape `(num, height, width, 1 or 3)`.

    Returns:
        Logits, shape `(num, classes)`, and features, shape `(num, dim)`.
    """
    import tensorflow as tf

    call = module
    if not callable(module):
        # Modules for TensorFlow 1 have named functions.
        names = ("default", "serving_default")
        call = next(
            module.signatures[n] for n in names if n in module.signatures
        )

    @tf.function(reduce_retracing=True)
    def evaluate(batch: Any) -> Any:
        # The resize of TensorFlow 1, whose pixel centers are not those of
        # today: published scores are made with it.
        enlarged = tf.compat.v1.image.resize_bilinear(
            tf.cast(batch, tf.float32), (299, 299)
        )
        if batch.shape[-1] == 1:
            enlarged = tf.image.grayscale_to_rgb(enlarged)
        outputs = call((enlarged - 128.0) / 128.0)
        features = tf.reshape(outputs["pool_3"], (tf.shape(batch)[0], -1))
        return outputs["logits"], features

    found = []
    for start in range(0, len(images), BATCH_SIZE):
        outputs = evaluate(images[start : start + BATCH_SIZE])
        found.append([output.numpy() for output in outputs])
        done = min(start + BATCH_SIZE, len(images))
        print(
            f"\rInception: {done} of {len(images)} images", end="", flush=True
        )
    print()
    logits, features = (
        np.concatenate(parts) for parts in zip(*found, strict=True)
    )
    return logits, features


def main(module_path: str, images_path: str, features_path: str) -> None:
    """Writes logits and features of the images in a file."""
    import tensorflow as tf

    with np.load(images_path, allow_pickle=False) as arrays:
        images = arrays["images"]
    module = tf.saved_model.load(module_path)
    logits, features = logits_and_features(module, images)
    np.savez(features_path, logits=logits, features=features)


if __name__ == "__main__":
    main(*sys.argv[1:])

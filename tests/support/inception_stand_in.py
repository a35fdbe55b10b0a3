"""A small module in the format of TensorFlow-GAN's Inception.

`pool_3` is the mean of a part of the image, `logits` are a product with
`WEIGHTS`.
"""

from typing import Any

import numpy as np

#: Height and width of the part, from the upper left corner.
PART = (90, 140)
WEIGHTS = np.arange(12, dtype="float32").reshape(3, 4) - 5.0


def write_module(folder: str) -> None:
    """Saves it, and in FOLDER_named one that is called by name."""
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(WEIGHTS)

        @tf.function(input_signature=[tf.TensorSpec((None, 299, 299, 3))])
        def __call__(self, images: Any) -> dict[str, Any]:
            part = images[:, : PART[0], : PART[1]]
            pool = tf.reduce_mean(part, axis=(1, 2), keepdims=True)
            return {"pool_3": pool, "logits": pool[:, 0, 0] @ self.weights}

    module = Module()
    tf.saved_model.save(module, folder)
    # As modules for TensorFlow 1 are: functions with names.
    named = tf.Module()
    named.inner = module
    signatures = {"serving_default": module.__call__}
    tf.saved_model.save(named, f"{folder}_named", signatures=signatures)

"""Writes the model that `test_cross_backend.py` loads under every backend.

Run from the root of the repository, once with each backend:

    KERAS_BACKEND=jax python tests/integration/make_saved_models.py

It writes `saved/BACKEND.keras`, and beside it `saved/BACKEND.json` with the
model's configuration, its regularization losses and its predictions for
`inputs()`. Run it again only when a deliberate change of the format is made:
the committed files are also the proof that old files still load.
"""

import json
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
from keras import layers

SAVED = Path(__file__).parent / "saved"


def inputs():
    """Two small images and two token sequences, the same everywhere."""
    images = np.sin(np.arange(2 * 5 * 5 * 2)).reshape(2, 5, 5, 2)
    tokens = np.arange(2 * 3).reshape(2, 3) % 6
    return [images.astype("float32"), tokens.astype("int32")]


def make_model():
    """A model with every regularizer of the library and several axes."""
    from keras_mhe import MHE

    images = keras.Input((5, 5, 2), name="images")
    tokens = keras.Input((3,), dtype="int32", name="tokens")
    seen = layers.Conv2D(
        4, 3, kernel_regularizer=MHE(0.5, power=0, half_space=True)
    )(images)
    seen = layers.Conv2DTranspose(
        3,
        2,
        kernel_regularizer=MHE.from_reference("half_mhe", "a2")
        + keras.regularizers.L2(1e-3),
    )(seen)
    seen = layers.GlobalAveragePooling2D()(seen)
    read = layers.Embedding(
        6,
        4,
        embeddings_regularizer=MHE(
            0.1, power=1.5, distance="angular", neuron_axis=0
        ),
    )(tokens)
    read = layers.LSTM(3, kernel_regularizer=MHE(2.0, groups=4))(read)
    both = layers.EinsumDense(
        "ab,bcd->acd",
        (2, 3),
        kernel_regularizer=MHE(
            0.3, neuron_axis=(1, 2), groups=2, epsilon=1e-4, block_size=64
        ),
    )(layers.concatenate([seen, read]))
    outputs = layers.Dense(
        2,
        kernel_regularizer="l2"
        + MHE.from_reference("mhe", "1", output_layer=True),
    )(layers.Flatten()(both))
    return keras.Model([images, tokens], outputs)


def compress(path):
    """Packs the archive again: Keras stores its files as they are."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def main():
    """Writes the two files of the active backend."""
    keras.utils.set_random_seed(0)
    model = make_model()
    name = keras.backend.backend()
    SAVED.mkdir(exist_ok=True)
    model.save(SAVED / f"{name}.keras")
    compress(SAVED / f"{name}.keras")
    facts = {
        "config": json.loads(model.to_json()),
        "losses": [
            float(keras.ops.convert_to_numpy(loss)) for loss in model.losses
        ],
        "predictions": model.predict(inputs(), verbose=0).tolist(),
    }
    (SAVED / f"{name}.json").write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()

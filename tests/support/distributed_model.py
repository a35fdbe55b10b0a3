"""What the programs of `test_distributed.py` train and what they record.

Each backend has a program, `python -m support.distributed_BACKEND FOLDER`. It
trains models on one device and on several, from the same weights and on the
same batches, and stores the record of every run in `.npz` files.
"""

import keras
import numpy as np
from keras import layers, ops

from keras_mhe import MHE
from keras_mhe.layers import ArcFace, SphereFace
from keras_mhe.ops import hyperspherical_energy

FEATURES, HIDDEN, DIM, CLASSES = 12, 24, 8, 40
STEPS, BATCH = 3, 16
RATE = 0.1

#: Tiles of pairs, so small that they do not fill a device's share evenly.
BLOCK_SIZE = 4

#: So large that an energy counted twice, or not at all, changes all that is
#: compared by more than a thousand times the tolerance.
STRENGTH = 20.0


def make_data():
    """Features and labels of one batch, in which labels repeat."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(BATCH, FEATURES)).astype("float32")
    return features, generator.integers(0, CLASSES, BATCH).astype("int32")


class BatchEnergyModel(keras.Model):
    """Adds the energy between the batch's classes and all others."""

    #: Devices over which Keras adds the results of `compute_loss` up.
    replicas = 1

    def compute_loss(
        self,
        x=None,
        y=None,
        y_pred=None,
        sample_weight=None,
        training=True,
    ):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss + self.energy(y) / self.replicas

    def energy(self, anchors):
        kernel = self.get_layer("classifier").kernel
        return STRENGTH * hyperspherical_energy(
            kernel, anchors=anchors, block_size=BLOCK_SIZE
        )


def make_heads():
    """Heads that count steps, and have energies of either kind."""
    energy = MHE(STRENGTH, block_size=BLOCK_SIZE)
    return [
        SphereFace(CLASSES, 4, lambda_base=10.0, name="head_of_lambda"),
        ArcFace(CLASSES, scale=8.0, kernel_regularizer=energy, name="head"),
        ArcFace(CLASSES, scale=8.0, energy=energy, energy_warmup=2),
    ]


def make_model(form):
    """A model with the same weights each time, not compiled.

    Args:
        form: `"regularizer"` for the energy of all classes, `"anchors"` for
            that of the batch's classes in the model's loss, or `"heads"`.
    """
    features = keras.Input((FEATURES,))
    hidden = layers.Dense(
        HIDDEN,
        activation="relu",
        kernel_regularizer=MHE(STRENGTH, half_space=True)
        + keras.regularizers.L2(1e-3),
    )(features)
    embedding = layers.Dense(DIM)(hidden)
    if form == "heads":
        labels = keras.Input((), dtype="int32")
        logits = [head((embedding, labels)) for head in make_heads()]
        model = keras.Model([features, labels], logits)
    elif form == "anchors":
        logits = layers.Dense(CLASSES, name="classifier")(embedding)
        model = BatchEnergyModel(features, logits)
    else:
        energy = MHE(STRENGTH, block_size=BLOCK_SIZE)
        logits = layers.Dense(
            CLASSES, name="classifier", kernel_regularizer=energy
        )(embedding)
        model = keras.Model(features, logits)
    generator = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(generator.normal(size=weight.shape) / 2.0)
    return model


def cross_entropy():
    """The loss of the programs, a mean over the batch."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def fit(model):
    """Trains on one batch in each epoch; returns the record of the run."""
    features, labels = make_data()
    x, y, loss = features, labels, cross_entropy()
    if len(model.outputs) > 1:
        x, y = [features, labels], [labels for _ in model.outputs]
        loss = [cross_entropy() for _ in model.outputs]
    model.compile(keras.optimizers.SGD(RATE), loss)
    history = model.fit(x, y, batch_size=BATCH, epochs=STEPS, verbose=0)
    return record(history.history["loss"], model)


def record(losses, model):
    """Losses by step, and at the end the weights and what the heads counted."""
    weights = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    steps = [
        int(ops.convert_to_numpy(layer.step))
        for layer in model.layers
        if isinstance(layer, ArcFace | SphereFace)
    ]
    return {
        "loss": np.asarray(losses, "float64"),
        "weights": np.concatenate([w.ravel() for w in weights]),
        "steps": np.array(steps, "int32"),
    }


def save(path, runs):
    """Stores records under `form.way.name`; `runs` has `(form, way)` keys."""
    arrays = {
        f"{form}.{way}.{name}": array
        for (form, way), entries in runs.items()
        for name, array in entries.items()
    }
    np.savez(path, **arrays)

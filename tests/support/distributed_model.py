"""What the programs of `test_distributed.py` train and what they record.

Each backend has a program, `python -m support.distributed_BACKEND FOLDER`. It
trains the model on one device and on several, from the same weights and on
the same batches, and stores the record of every run in `.npz` files.
"""

from itertools import islice

import keras
import numpy as np
from keras import layers, ops

from keras_mhe import MHE
from keras_mhe.functional import hyperspherical_energy

FEATURES, HIDDEN, DIM, CLASSES = 12, 24, 8, 40
STEPS, BATCH = 3, 16
RATE = 0.5

#: Tiles of pairs, so small that they do not fill a device's share evenly.
BLOCK_SIZE = 4

#: So large that an energy counted twice, or not at all, changes all that is
#: compared by more than a thousand times the tolerance.
STRENGTH = 20.0

#: The energy of all classes in the classifier's regularizer, or that of the
#: batch's classes in the model's loss.
FORMS = ("regularizer", "anchors")

#: Forms of the energy of a kernel that is spread over devices.
SHARDED_FORMS = {
    "half": {"half_space": True},
    "epsilon": {"epsilon": 0.5},
    "half_epsilon": {"half_space": True, "epsilon": 0.5},
    "angular": {"distance": "angular", "half_space": True},
    "groups": {"groups": 2},
    "anchors_half": {"anchors": [0, 3, 3, 39], "half_space": True},
    "anchors_half_epsilon": {
        "anchors": [0, 3, 3, 39],
        "half_space": True,
        "epsilon": 0.5,
    },
    "anchors_groups": {"anchors": [0, 3, 3, 39], "groups": 2},
    "on_one_device": {},
}

#: Runs on one device, form and name, with their strengths. Without strength
#: the form makes no difference.
ON_ONE = {
    ("regularizer", "one"): STRENGTH,
    ("regularizer", "doubled"): 2.0 * STRENGTH,
    ("anchors", "one"): STRENGTH,
    ("regularizer", "plain"): 0.0,
}


def batches():
    """Features and labels, one pair for each step."""
    generator = np.random.default_rng(0)
    for _ in range(STEPS):
        features = generator.normal(size=(BATCH, FEATURES))
        yield (
            features.astype("float32"),
            generator.integers(0, CLASSES, BATCH).astype("int32"),
        )


class BatchEnergyModel(keras.Model):
    """Adds the energy between the batch's classes and all others."""

    strength = 0.0
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
        return loss + self.strength / self.replicas * self.energy(y)

    def energy(self, anchors):
        kernel = self.get_layer("classifier").kernel
        return hyperspherical_energy(
            kernel, anchors=anchors, block_size=BLOCK_SIZE
        )


def make_model(form, strength=STRENGTH):
    """A model with the same weights each time, not compiled."""
    inputs = keras.Input((FEATURES,))
    hidden = layers.Dense(
        HIDDEN,
        activation="relu",
        name="hidden",
        kernel_regularizer=MHE(strength, half_space=True)
        + keras.regularizers.L2(1e-3),
    )(inputs)
    embedding = layers.Dense(DIM, name="embedding")(hidden)
    regularizer = MHE(strength, block_size=BLOCK_SIZE)
    outputs = layers.Dense(
        CLASSES,
        name="classifier",
        kernel_regularizer=regularizer if form == "regularizer" else None,
    )(embedding)
    if form == "anchors":
        model = BatchEnergyModel(inputs, outputs)
        model.strength = strength
    else:
        model = keras.Model(inputs, outputs)
    generator = np.random.default_rng(1)
    model.set_weights(
        [generator.normal(size=w.shape) / 2.0 for w in model.get_weights()]
    )
    return model


def cross_entropy():
    """The loss of the programs, a mean over the batch."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def fit(model, steps=STEPS):
    """Trains a batch at a time; returns the record of the run.

    With plain SGD the gradient of a step is the change of the weights over
    the rate.
    """
    model.compile(keras.optimizers.SGD(RATE), cross_entropy())
    losses, kernels = [], [kernel_of(model)]
    for features, labels in islice(batches(), steps):
        history = model.fit(
            features, labels, batch_size=BATCH, shuffle=False, verbose=0
        )
        losses += history.history["loss"]
        kernels.append(kernel_of(model))
    gradients = -np.diff(kernels, axis=0) / RATE
    return record(losses, gradients, model)


def kernel_of(model):
    """The classifier's kernel as NumPy, `(DIM, CLASSES)`."""
    return ops.convert_to_numpy(model.get_layer("classifier").kernel)


def record(losses, gradients, model):
    """Losses and the classifier's gradients by step, weights at the end."""
    return {
        "loss": np.asarray(losses, "float64"),
        "gradient": np.asarray(gradients, "float64"),
        "weights": np.concatenate([w.ravel() for w in model.get_weights()]),
    }


def save(path, runs):
    """Stores records under `form.way.name`; `runs` has `(form, way)` keys."""
    arrays = {
        f"{form}.{way}.{name}": array
        for (form, way), entries in runs.items()
        for name, array in entries.items()
    }
    np.savez(path, **arrays)

"""The trained model: images and labels to logits, and what is cut out of it."""

from pathlib import Path

import keras
import numpy as np

from common.checkpoints import load_model
from common.dataset_types import DataError
from common.identity_data import IdentityData
from keras_mhe.layers import AngularMargin
from verification.methods import Method
from verification.networks import embedding_network
from verification.recipes import Recipe, Stage

#: For a file that a user names.
SAVED = "Give a .keras file that this program has saved."


def build_model(
    method: Method, recipe: Recipe, data: IdentityData, seed: int
) -> keras.Model:
    """Returns an uncompiled model of inputs `[images, labels]`.

    Its random weights come from the seed. Its layers `features` and `head`
    are the embedding and the method's head.
    """
    keras.utils.set_random_seed(seed)
    network = embedding_network(
        data.x_train.shape[1:],
        network=recipe.network,
        embedding_size=recipe.embedding_size,
        weight_decay=recipe.weight_decay,
    )
    labels = keras.Input((), dtype="int32", name="labels")
    head = method.layer(len(data.identity_names), recipe)
    logits = head((network.output, labels))
    return keras.Model([network.input, labels], logits, name=recipe.network)


def compile_model(
    model: keras.Model, method: Method, stage: Stage, total_steps: int
) -> None:
    """Compiles the model with the head's loss and the stage's optimizer."""
    model.compile(
        optimizer=keras.optimizers.SGD(
            stage.schedule(total_steps), momentum=0.9
        ),
        loss=method.loss(model.get_layer("head")),
        metrics=["accuracy"],
    )


def embedding_of(model: keras.Model) -> keras.Model:
    """Returns the part from images to embeddings, sharing the weights.

    Raises:
        DataError: If the model has no layer named `features`.
    """
    try:
        features = model.get_layer("features").output
    except ValueError:
        raise DataError(
            f"the model {model.name!r} has no layer named 'features'. {SAVED}"
        ) from None
    return keras.Model(model.inputs[0], features, name="embedding")


def predictor_of(model: keras.Model) -> keras.Model:
    """Returns the part from images to logits without margin."""
    network = embedding_of(model)
    return keras.Model(
        network.input, model.get_layer("head")(network.output), name="predictor"
    )


def start_from(model: keras.Model, path: Path) -> None:
    """Copies the weights of a saved model.

    The class vectors and the count of steps are taken if the saved model has
    a head for as many classes, which then are taken for the same identities;
    otherwise the embedding network only.

    Raises:
        DataError: If the file cannot be loaded, or has another network.
    """
    saved = load_model(path, SAVED)
    weights = embedding_of(saved).get_weights()
    network = embedding_of(model)
    shapes = [weight.shape for weight in weights]
    expected = [tuple(weight.shape) for weight in network.weights]
    if shapes != expected:
        raise DataError(
            f"{path} has another network than --network and --embedding_size "
            "say: it cannot be trained on. Change these, or give another file."
        )
    network.set_weights(weights)
    head, trained = model.get_layer("head"), saved.layers[-1]
    is_head = isinstance(trained, AngularMargin)
    if is_head and trained.kernel.shape == head.kernel.shape:
        head.kernel.assign(trained.kernel)
        head.step.assign(trained.step)


def class_vectors_of(model: keras.Model) -> np.ndarray:
    """Returns the class vectors, shape `(embedding_size, num_classes)`."""
    return keras.ops.convert_to_numpy(model.get_layer("head").kernel)

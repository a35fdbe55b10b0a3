"""One run: train, resume, score, and fill the run's folder."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from common.batches import EpochOrder
from common.callbacks import KeepOffProgressBar, RefuseDivergence, StopAfter
from common.checkpoints import METRICS, Backup, history_log, resume
from common.image_data import ImageData
from common.run_folder import (
    RunError,
    claim,
    read_json,
    write_atomically,
    write_json,
)
from generation.batches import GANBatches
from generation.classifier import Classifier
from generation.evaluation import score_snapshots
from generation.gan import GAN
from generation.monitor import (
    SNAPSHOTS,
    Snapshots,
    SpectralMonitor,
    by_step,
)
from generation.networks import discriminator_network, generator_network
from generation.recipes import SCORING, Recipe
from generation.variants import Variant
from keras_mhe.callbacks import EnergyMonitor

GENERATOR = "generator.keras"
DISCRIMINATOR = "discriminator.keras"

_DIVERGED = (
    "What was saved before is finite. Lower --learning_rate or --strength, "
    "with another --output."
)


@dataclass(frozen=True)
class Run:
    """What determines the result of a run.

    Attributes:
        dataset: Name of the data set.
        variant: The discriminator under test.
        recipe: Everything that is tuned for the data set.
        seed: Seed of weights, order, mirroring and noise.
    """

    dataset: str
    variant: Variant
    recipe: Recipe
    seed: int

    @property
    def determines_weights(self) -> dict[str, Any]:
        """All but how the generator is scored."""
        settings = asdict(self)
        for name in SCORING:
            del settings["recipe"][name]
        return settings


def build(run: Run, image_shape: tuple[int, int, int]) -> GAN:
    """Returns the compiled pair with the run's initial weights."""
    recipe, variant = run.recipe, run.variant
    keras.utils.set_random_seed(run.seed)
    generator = generator_network(image_shape, width=recipe.width)
    discriminator = discriminator_network(
        image_shape,
        width=recipe.width,
        regularizer=variant.regularizer,
        wrap=variant.wrap,
    )
    gan = GAN(generator, discriminator, average=recipe.average)
    gan.compile(recipe.learning_rate, recipe.beta_1)
    return gan


def train(run: Run, data: ImageData, folder: Path) -> None:
    """Trains to the end, from wherever the folder's run stopped.

    Args:
        run: The run.
        data: Its data set.
        folder: The run's folder, new or of the same run.

    Raises:
        RunError: If the folder holds a run with another configuration, or
            the training diverged.
    """
    recipe = run.recipe
    if recipe.batch_size > len(data.x_train):
        raise RunError(
            f"--batch_size={recipe.batch_size}, but there are "
            f"{len(data.x_train)} images. Give a smaller one."
        )
    is_finished = (folder / DISCRIMINATOR).exists()
    claim(folder, run.determines_weights, any_backend=is_finished)
    if is_finished:
        print(f"{folder}: trained before", flush=True)
        return
    batches = GANBatches(
        data.x_train,
        batch_size=recipe.batch_size,
        steps_per_epoch=recipe.steps_per_epoch,
        flip=recipe.flip,
        seed=run.seed,
    )
    epochs = -(-recipe.steps // len(batches))
    gan = build(run, data.x_train.shape[1:])
    first_epoch, _ = resume(gan, folder, len(batches), "generator_loss")
    if first_epoch < epochs:
        with history_log(folder) as history:
            gan.fit(
                batches,
                epochs=epochs,
                initial_epoch=first_epoch,
                shuffle=False,
                callbacks=[
                    EpochOrder(batches),
                    StopAfter(recipe.steps, len(batches)),
                    RefuseDivergence(_DIVERGED, "discriminator_loss"),
                    EnergyMonitor(
                        per_layer=True, layers=["generator", "discriminator"]
                    ),
                    SpectralMonitor(folder),
                    history,
                    Snapshots(
                        folder, due_epochs(epochs, recipe.snapshots), run.seed
                    ),
                    Backup(folder),
                    KeepOffProgressBar("energy", "min_angle", "sigma/"),
                ],
            )
    write_atomically(folder / GENERATOR, gan.averaged_generator.save)
    write_atomically(folder / DISCRIMINATOR, gan.discriminator.save)


def scores_of(
    run: Run, data: ImageData, classifier: Classifier, folder: Path
) -> dict[str, Any]:
    """Scores the snapshots of a finished run, unless that was done alike.

    Returns:
        The metrics, as written to `METRICS`.

    Raises:
        RunError: If there is no snapshot.
        DataError: If TensorFlow-GAN is not installed.
    """
    recipe = run.recipe
    known = read_json(folder / METRICS)
    asked = {
        "classifier_sha256": classifier.sha256,
        "generated_images": recipe.scored,
        "splits": recipe.splits,
    }
    if known is not None and asked.items() <= known["protocol"].items():
        return known
    snapshots = by_step((folder / SNAPSHOTS).glob("generator_*.keras"))
    if not snapshots:
        raise RunError(
            f"{folder} holds no snapshot of the generator to score. Train "
            "again with another --output."
        )
    scores = score_snapshots(
        snapshots,
        classifier,
        data,
        count=recipe.scored,
        splits=recipe.splits,
        seed=run.seed,
    )
    metrics = {"source": data.source, **scores}
    write_json(folder / METRICS, metrics)
    return metrics


def due_epochs(epochs: int, snapshots: int) -> set[int]:
    """Returns the epochs after which a snapshot is kept, the last included."""
    return {
        -(-epochs * number // snapshots) for number in range(1, snapshots + 1)
    }

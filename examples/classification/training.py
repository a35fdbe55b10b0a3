"""One run: train, resume, evaluate, and fill the run's folder."""

import importlib.util
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from classification.batches import TrainingBatches, one_hot
from classification.methods import Method
from classification.network import cnn9
from classification.recipes import Recipe, compile_model
from common.batches import EpochOrder
from common.callbacks import (
    CPU_SECONDS,
    KeepOffProgressBar,
    RefuseDivergence,
    StepTime,
    StopAfter,
)
from common.checkpoints import (
    LAST,
    METRICS,
    Checkpoints,
    history_log,
    read_history,
    resume,
)
from common.image_data import ImageData, balanced_subset
from common.run_folder import RunError, claim, read_json, write_json
from keras_mhe.callbacks import EnergyMonitor

INITIAL = "initial_energies.json"

#: The form in which all methods are watched: Riesz 2 energy in half space.
WATCHED = {"power": 2, "distance": "euclidean", "half_space": True}

_DIVERGED = (
    "What was saved before is finite. Lower --learning_rate or the strength, "
    "with another --output."
)


@dataclass(frozen=True)
class Run:
    """What determines the result of a run.

    Attributes:
        dataset: Name of the data set.
        method: The method under test.
        recipe: Everything that is tuned for the data set.
        train_size: Number of training images, drawn class by class with the
            run's seed; `None` for all.
        validation_size: Number of test images for the curves, the same for
            all runs; `None` for all. The final numbers use all test images.
        seed: Seed of weights, order, augmentation and the drawn images.
    """

    dataset: str
    method: Method
    recipe: Recipe
    train_size: int | None
    validation_size: int | None
    seed: int

    @property
    def learning_rate(self) -> float:
        """The method's rate, or that of the recipe."""
        return self.method.learning_rate or self.recipe.learning_rate


def train(
    run: Run, images: ImageData, folder: Path, *, tensorboard: bool = False
) -> dict[str, Any]:
    """Trains to the end, from wherever the folder's run stopped.

    Args:
        run: The run.
        images: Its data set.
        folder: The run's folder, new or of the same run.
        tensorboard: Whether to write TensorBoard logs.

    Returns:
        The final metrics, as written to `METRICS`.

    Raises:
        RunError: If the folder holds a run with another configuration, if
            the training diverged, or if TensorBoard is wanted and not
            installed.
    """
    extra_callbacks = _tensorboard(folder, tensorboard)
    # What can be refused is, before the folder belongs to the run.
    x_train, y_train = _training_images(images, run)
    validation = _validation_images(images, run)
    claim(folder, asdict(run))
    finished = read_json(folder / METRICS)
    if finished is not None:
        print(f"{folder}: finished before", flush=True)
        return finished
    num_classes = len(images.class_names)
    batches = TrainingBatches(
        x_train,
        y_train,
        num_classes=num_classes,
        batch_size=min(run.recipe.batch_size, len(x_train)),
        augmentation=run.recipe.augmentation,
        seed=run.seed,
    )
    total_steps = run.recipe.steps or run.recipe.epochs * len(batches)
    epochs = -(-total_steps // len(batches))
    model = initial_model(run, images)
    compile_model(model, run.recipe, run.learning_rate, total_steps)
    monitor = EnergyMonitor(**WATCHED, per_layer=True)
    if not (folder / INITIAL).exists():
        monitor.set_model(model)
        monitor.on_train_begin()
        write_json(folder / INITIAL, monitor.initial)
    first_epoch, best = resume(model, folder, len(batches))
    started = time.perf_counter()
    if first_epoch < epochs or not (folder / LAST).exists():
        with history_log(folder) as history:
            model.fit(
                batches,
                epochs=epochs,
                initial_epoch=first_epoch,
                validation_data=validation,
                validation_batch_size=500,
                # The batches are shuffled already; Keras would change their
                # order by a generator that a resume starts anew.
                shuffle=False,
                callbacks=[
                    EpochOrder(batches),
                    StopAfter(total_steps, len(batches)),
                    RefuseDivergence(_DIVERGED),
                    StepTime(),
                    monitor,
                    history,
                    *extra_callbacks,
                    Checkpoints(folder, best),
                    KeepOffProgressBar(
                        "energy/", "energy_gap/", "min_angle/", CPU_SECONDS
                    ),
                ],
            )
    metrics = _final_metrics(model, images, x_train, y_train, folder)
    metrics["cpu_milliseconds_per_step"] = _milliseconds_per_step(
        read_history(folder)[CPU_SECONDS], len(batches), total_steps
    )
    metrics["seconds_of_this_session"] = round(time.perf_counter() - started, 1)
    write_json(folder / METRICS, metrics)
    return metrics


def initial_model(run: Run, images: ImageData) -> keras.Model:
    """Returns the uncompiled model with the run's initial weights."""
    keras.utils.set_random_seed(run.seed)
    return cnn9(
        images.x_train.shape[1:],
        len(images.class_names),
        method=run.method,
        width=run.recipe.width,
        weight_decay=run.recipe.weight_decay,
        batch_norm_momentum=run.recipe.batch_norm_momentum,
    )


def _training_images(
    images: ImageData, run: Run
) -> tuple[np.ndarray, np.ndarray]:
    if run.train_size is None:
        return images.x_train, images.y_train
    chosen = _subset("--train_size", images.y_train, run.train_size, run.seed)
    return images.x_train[chosen], images.y_train[chosen]


def _validation_images(
    images: ImageData, run: Run
) -> tuple[np.ndarray, np.ndarray]:
    x_test, y_test = images.x_test, images.y_test
    if run.validation_size is not None:
        size = run.validation_size
        chosen = _subset("--validation_size", y_test, size, seed=0)
        x_test, y_test = x_test[chosen], y_test[chosen]
    return x_test.astype("float32"), one_hot(y_test, len(images.class_names))


def _subset(option: str, labels: np.ndarray, size: int, seed: int) -> Any:
    if size > len(labels):
        raise RunError(
            f"{option}={size}, but there are {len(labels)} images. Give fewer."
        )
    return balanced_subset(labels, size, seed)


def _final_metrics(
    model: keras.Model,
    images: ImageData,
    x_train: np.ndarray,
    y_train: np.ndarray,
    folder: Path,
) -> dict[str, Any]:
    """Accuracies of the last epoch on all images, without augmentation."""

    def accuracy(x: np.ndarray, y: np.ndarray) -> float:
        logits = model.predict(x.astype("float32"), batch_size=500, verbose=0)
        return float(np.mean(np.argmax(logits, axis=-1) == y))

    history = read_history(folder)
    return {
        "source": images.source,
        "test_accuracy_last_epoch": accuracy(images.x_test, images.y_test),
        "train_accuracy_last_epoch": accuracy(x_train, y_train),
        "validation_accuracy_best_epoch": float(history["val_accuracy"].max()),
        "best_epoch": int(history["val_accuracy"].argmax()) + 1,
        "train_loss_last_epoch": float(history["loss"][-1]),
        "hidden_energy_gap_last_epoch": float(hidden_energy_gap(history)[-1]),
        "steps": int(model.optimizer.iterations),
        "epochs": len(history),
    }


def _milliseconds_per_step(
    seconds: np.ndarray, steps_per_epoch: int, total_steps: int
) -> float:
    """Median over the epochs of their time for a step.

    The first epoch compiled the step, and counts only if it is alone.
    """
    done = np.minimum(
        np.arange(len(seconds) + 1) * steps_per_epoch, total_steps
    )
    times = 1000 * seconds / np.diff(done)
    return float(np.median(times[1:] if len(times) > 1 else times))


def hidden_energy_gap(history: np.ndarray) -> np.ndarray:
    """Mean gap of all layers but the classifier, in the `WATCHED` form.

    The published classifier term is full-space, so its optimum is another.
    """
    names = [name for name in history.dtype.names if is_hidden_gap(name)]
    return np.mean([history[name] for name in names], axis=0)


def is_hidden_gap(name: str) -> bool:
    """Whether a log is the energy gap of one hidden layer."""
    is_gap = name.startswith("energy_gap/")
    return is_gap and not name.endswith("/classifier")


def _tensorboard(folder: Path, is_wanted: bool) -> list[Any]:
    if not is_wanted:
        return []
    for package in ("tensorflow", "tensorboard"):
        if importlib.util.find_spec(package) is None:
            raise RunError(
                f"--tensorboard needs the package {package}, which is not "
                "installed: pip install tensorflow tensorboard"
            )
    return [keras.callbacks.TensorBoard(str(folder / "tensorboard"))]

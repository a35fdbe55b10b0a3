"""One run: train, resume, verify, and fill the run's folder."""

import hashlib
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from common.batches import EpochOrder
from common.callbacks import KeepOffProgressBar, RefuseDivergence, StopAfter
from common.checkpoints import (
    LAST,
    METRICS,
    Checkpoints,
    history_log,
    read_history,
    resume,
)
from common.identity_data import IdentityData, Subset
from common.run_folder import (
    claim,
    read_json,
    write_atomically,
    write_json,
)
from common.subsets import evenly_chosen
from common.verified_files import sha256_of
from verification.batches import IdentityBatches
from verification.methods import Method
from verification.models import (
    build_model,
    class_vectors_of,
    compile_model,
    embedding_of,
    predictor_of,
    start_from,
)
from verification.monitor import VERIFICATION, VerificationMonitor
from verification.recipes import Recipe
from verification.scoring import (
    blocks,
    class_vectors,
    outputs,
    scores_of,
    verify,
)

EMBEDDING = "embedding.keras"

_DIVERGED = (
    "What was saved before is finite. Lower --learning_rate or --strength, or "
    "let SphereFace's margin set in later (--lambda_gamma), with another "
    "--output."
)


@dataclass(frozen=True)
class Run:
    """What determines the result of a run.

    Attributes:
        dataset: Name of the data set.
        method: The method under test.
        recipe: Everything that is tuned for the data set.
        seed: Seed of weights, order and mirroring.
        identities: Number of training identities; `None` for all.
    """

    dataset: str
    method: Method
    recipe: Recipe
    seed: int
    identities: int | None = None

    @property
    def pretraining(self) -> "Run":
        """The run without energy that this one begins with."""
        assert self.recipe.pretraining is not None
        recipe = replace(
            self.recipe, pretraining=None, training=self.recipe.pretraining
        )
        return replace(self, method=self.method.without_energy, recipe=recipe)


def train_from_start(
    run: Run,
    data: IdentityData,
    folder: Path,
    pretraining_folder: Path,
    *,
    start: Path | None = None,
) -> dict[str, Any]:
    """Trains without energy, then with it, each from where it stopped.

    Args:
        run: The run.
        data: Its data set.
        folder: The run's folder.
        pretraining_folder: Folder of the training without energy, which runs
            of several methods may share.
        start: Saved model to begin with, if there is no such training.

    Returns:
        The metrics of the training with energy, as of `train`.
    """
    if run.recipe.pretraining is None:
        return train(run, data, folder, start=start)
    print("first training, without energy:", flush=True)
    train(run.pretraining, data, pretraining_folder)
    keras.utils.clear_session()
    print(f"second training, {run.method.label}:", flush=True)
    return train(run, data, folder, start=pretraining_folder / LAST)


def train(
    run: Run, data: IdentityData, folder: Path, *, start: Path | None = None
) -> dict[str, Any]:
    """Trains to the end, from wherever the folder's run stopped.

    Args:
        run: The run.
        data: Its data set.
        folder: The run's folder, new or of the same run.
        start: Saved model to begin with.

    Returns:
        The final metrics, as written to `METRICS`.

    Raises:
        RunError: If the folder holds a run with another configuration, or
            the training diverged.
        DataError: If `start` cannot be used.
    """
    recipe, stage = run.recipe, run.recipe.training
    batches = IdentityBatches(
        data.x_train,
        data.y_train,
        batch_size=min(recipe.batch_size, len(data.x_train)),
        mirror=recipe.mirror,
        seed=run.seed,
    )
    model = build_model(run.method, recipe, data, run.seed)
    # What can be refused is, before the folder belongs to the run.
    if start is not None:
        start_from(model, start)
    begins_with = {"data": _fingerprint(data), "start": _digest(start)}
    claim(folder, asdict(run) | begins_with)
    finished = read_json(folder / METRICS)
    if finished is not None:
        print(f"{folder}: finished before", flush=True)
        return finished
    total_steps = stage.steps or (stage.epochs or 0) * len(batches)
    epochs = -(-total_steps // len(batches))
    compile_model(model, run.method, stage, total_steps)
    first = class_vectors(class_vectors_of(model))
    first_epoch, best = resume(model, folder, len(batches), VERIFICATION)
    if first_epoch < epochs or not (folder / LAST).exists():
        with history_log(folder) as history:
            try:
                model.fit(
                    batches,
                    epochs=epochs,
                    initial_epoch=first_epoch,
                    # The batches are shuffled already; Keras would change
                    # their order by a generator that a resume starts anew.
                    shuffle=False,
                    callbacks=[
                        EpochOrder(batches),
                        StopAfter(total_steps, len(batches)),
                        RefuseDivergence(_DIVERGED),
                        VerificationMonitor(data, mirror=recipe.mirror),
                        history,
                        Checkpoints(folder, best, VERIFICATION),
                        KeepOffProgressBar("class_", "seconds", "cpu_seconds"),
                    ],
                )
            except Exception:
                if batches.error is not None:
                    raise batches.error from None
                raise
    write_atomically(folder / EMBEDDING, embedding_of(model).save)
    metrics = _final_metrics(model, data, recipe, folder)
    metrics |= {
        f"{name}_before": value for name, value in asdict(first).items()
    }
    write_json(folder / METRICS, metrics)
    return metrics


def _digest(path: Path | None) -> str | None:
    """Returns a checksum of what the run begins with."""
    if path is None:
        return None
    return sha256_of(path)


def _final_metrics(
    model: keras.Model, data: IdentityData, recipe: Recipe, folder: Path
) -> dict[str, Any]:
    """Scores of the last epoch."""
    result = verify(
        embedding_of(model), data.x_test, data.pairs, mirror=recipe.mirror
    )
    history = read_history(folder)
    return {
        "source": data.source,
        **scores_of(result),
        "train_accuracy": _train_accuracy(model, data),
        "best_verification_accuracy": float(history[VERIFICATION].max()),
        "best_epoch": int(history[VERIFICATION].argmax()) + 1,
        "steps": int(model.optimizer.iterations),
        "epochs": len(history),
        "seconds": float(history["seconds"].sum()),
        "cpu_seconds": float(history["cpu_seconds"].sum()),
        **asdict(class_vectors(class_vectors_of(model))),
    }


def _train_accuracy(model: keras.Model, data: IdentityData) -> float:
    """Share of training images whose nearest class is theirs, no margin.

    Of very many images 20,000, evenly chosen.
    """
    predictor = predictor_of(model)
    chosen = evenly_chosen(len(data.x_train), 20_000)
    nearest = [
        outputs(predictor, pixels).argmax(axis=-1)
        for pixels in blocks(Subset(data.x_train, chosen))
    ]
    return float(np.mean(np.concatenate(nearest) == data.y_train[chosen]))


def _fingerprint(data: IdentityData) -> str:
    """Returns a checksum of who is trained on and which pairs are scored.

    Of the images themselves their shape, as there may be very many.
    """
    digest = hashlib.sha256("\n".join(data.identity_names).encode())
    shape = data.x_train.shape[1:]
    for array in (shape, data.y_train, *astuple(data.pairs)):
        digest.update(np.ascontiguousarray(array, "int64").tobytes())
    return digest.hexdigest()

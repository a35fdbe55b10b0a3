"""Pictures of a run and of a comparison."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from common.angles import pairwise_angles
from common.checkpoints import AGAIN, LAST, load_model, read_history
from common.figures import (
    FILLED,
    plot_angles,
    plot_mean_curves,
    plot_paired_values,
    save_figure,
    style_of,
)
from common.identity_data import IdentityData
from keras_mhe.metrics import Verification
from verification.models import (
    build_model,
    class_vectors_of,
    embedding_of,
    start_from,
)
from verification.scoring import embed, verify
from verification.training import Run

if TYPE_CHECKING:
    from verification.comparison import Summary

_SHOWN_IDENTITIES = 10


def draw_run(
    run: Run, data: IdentityData, folder: Path, start: Path | None = None
) -> list[Path]:
    """Draws the pictures of a finished run.

    `identities.png` has images of some identities, `training.png` the curves,
    `verification.png` the ROC curve, the scores and the angles between class
    vectors; an embedding of two or three dimensions gives `features.png` too.

    Args:
        run: The run.
        data: Its data set.
        folder: The run's folder.
        start: The model that the run began with.

    Returns:
        The paths of the pictures.
    """
    title = f"{run.dataset}, {run.method.label}, seed {run.seed}"
    model = load_model(folder / LAST, AGAIN)
    first = build_model(run.method, run.recipe, data, run.seed)
    if start is not None:
        start_from(first, start)
    network = embedding_of(model)
    result = verify(network, data.x_test, data.pairs, mirror=run.recipe.mirror)
    vectors = class_vectors_of(model)
    pictures = [
        save_figure(_identity_figure(data), folder / "identities.png"),
        save_figure(
            _training_figure(read_history(folder), title),
            folder / "training.png",
        ),
        save_figure(
            _verification_figure(
                result,
                data.pairs.is_same,
                (class_vectors_of(first), vectors),
                title,
            ),
            folder / "verification.png",
        ),
    ]
    if vectors.shape[0] in (2, 3):
        shown = data.y_train < _SHOWN_IDENTITIES
        features = embed(network, data.x_train[np.flatnonzero(shown)])
        pictures.append(
            save_figure(
                _feature_figure(features, data.y_train[shown], vectors, title),
                folder / "features.png",
            )
        )
    return pictures


def draw_comparison(
    summaries: Sequence["Summary"],
    histories: dict[str, list[np.ndarray]],
    folder: Path,
) -> Path:
    """Draws `comparison.png`: final scores and mean curves.

    Args:
        summaries: One per method.
        histories: For each method, the histories of its runs.
        folder: Where the picture goes.

    Returns:
        The path of the picture.
    """
    figure = Figure(figsize=(12, 8.5), layout="constrained")
    final, verification, smallest, nearest = figure.subplots(2, 2).flat
    accuracies = 100 * np.array([s.accuracies for s in summaries])
    plot_paired_values(final, accuracies)
    final.set_xticks([])
    final.set_title(
        "10-fold accuracy after the last epoch, %\n(line: one seed)"
    )
    for axes, curve_of, name in (
        (
            verification,
            lambda h: 100 * h["val_verification"],
            "10-fold accuracy, %",
        ),
        (
            smallest,
            lambda h: h["class_angle"],
            "smallest angle between classes, °",
        ),
        (
            nearest,
            lambda h: h["class_nearest_angle"],
            "mean angle to the nearest, °",
        ),
    ):
        plot_mean_curves(
            axes, histories, curve_of, name, "epoch of the second training"
        )
    figure.legend(
        *verification.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
    )
    return save_figure(figure, folder / "comparison.png")


def _identity_figure(data: IdentityData) -> Figure:
    """Up to 16 images of each of some identities, a row for each."""
    count = len(data.identity_names)
    shown = np.linspace(0, count - 1, min(count, _SHOWN_IDENTITIES))
    images_of = [
        data.x_train[np.flatnonzero(data.y_train == identity)[:16]]
        for identity in shown.astype(int)
    ]
    columns = max(map(len, images_of))
    height, width, channels = data.x_train.shape[1:]
    sheet = np.full((len(images_of), columns, height, width, channels), 255)
    for row, images in zip(sheet, images_of, strict=True):
        row[: len(images)] = images
    pixels = np.concatenate(np.concatenate(list(sheet), axis=1), axis=1)
    figure = Figure(
        figsize=(columns / 2, len(images_of) * height / width / 2),
        layout="tight",
    )
    axes = figure.add_subplot()
    axes.imshow(pixels, cmap="gray")
    axes.set_axis_off()
    return figure


def _training_figure(history: np.ndarray, title: str) -> Figure:
    figure = Figure(figsize=(13, 4), layout="constrained")
    figure.suptitle(title)
    loss, accuracy, classes = figure.subplots(1, 3)
    epochs = 1 + history["epoch"]
    style = style_of(len(epochs))
    loss.plot(epochs, history["loss"], **style)
    loss.set_title("loss, with margin, energy and weight decay")
    for axes, name, label, factor in (
        (accuracy, "accuracy", "training, margin", 100),
        (accuracy, "val_verification", "verification", 100),
        (classes, "class_nearest_angle", "mean nearest", 1),
        (classes, "class_angle", "smallest", 1),
    ):
        axes.plot(epochs, factor * history[name], label=label, **style)
    accuracy.set_title("accuracy, %")
    classes.set_title("angles between class vectors, °")
    for axes in (loss, accuracy, classes):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    accuracy.legend()
    classes.legend()
    return figure


def _verification_figure(
    result: Verification,
    is_same: np.ndarray,
    class_vectors: tuple[np.ndarray, np.ndarray],
    title: str,
) -> Figure:
    figure = Figure(figsize=(13, 4), layout="constrained")
    figure.suptitle(title)
    roc, scores, angles = figure.subplots(1, 3)
    positive = result.false_positive_rates > 0
    roc.plot(
        result.false_positive_rates[positive],
        100 * result.true_positive_rates[positive],
    )
    roc.set_xscale("log")
    roc.set_xlabel("false positive rate")
    roc.set_title(
        f"true positive rate, %; AUC {result.auc:.4f}, EER {result.eer:.2%}"
    )
    edges = np.linspace(result.scores.min(), result.scores.max(), 61)
    scores.hist(result.scores[is_same], edges, label="genuine", **FILLED)
    scores.hist(result.scores[~is_same], edges, label="impostor", **FILLED)
    scores.axvline(result.thresholds.mean(), color="black", lw=1, ls="--")
    scores.set_title(f"cosines of pairs; accuracy {result.accuracy:.2%}")
    scores.set_yticks([])
    scores.legend()
    both = map(pairwise_angles, class_vectors)
    plot_angles(angles, *both, dim=len(class_vectors[0]), bins=80)
    angles.set_title("angles between class vectors, °")
    angles.legend()
    return figure


def _feature_figure(
    features: np.ndarray,
    identities: np.ndarray,
    class_vectors: np.ndarray,
    title: str,
) -> Figure:
    """Directions of the features of some identities, on circle or sphere."""
    points = features / np.linalg.norm(features, axis=1, keepdims=True)
    vectors = class_vectors / np.linalg.norm(class_vectors, axis=0)
    figure = Figure(figsize=(6, 6), layout="constrained")
    if len(vectors) == 2:
        axes = figure.add_subplot(aspect="equal")
    else:
        axes = figure.add_subplot(projection="3d")
        axes.set_box_aspect((1, 1, 1), zoom=1.5)
        longitude, latitude = np.mgrid[0 : 2 * np.pi : 25j, 0 : np.pi : 13j]
        axes.plot_wireframe(
            np.cos(longitude) * np.sin(latitude),
            np.sin(longitude) * np.sin(latitude),
            np.cos(latitude),
            color="0.85",
            linewidth=0.5,
        )
    axes.set_axis_off()
    figure.suptitle(
        f"features of {len(np.unique(identities))} identities (dots) and class "
        f"vectors (lines)\n{title}"
    )
    for identity in np.unique(identities):
        color = f"C{identity % 10}"
        axes.plot(
            *points[identities == identity].T, ".", color=color, markersize=4
        )
        line = np.stack([np.zeros(len(vectors)), vectors[:, identity]])
        axes.plot(*line.T, color=color, linewidth=1.5)
    return figure

"""The published face recognition experiment: do diverse classes help?

Trains an embedding with an angular-margin head, first without and then with
the energy of its class vectors, as SphereFace+ (Liu et al., "Learning towards
Minimum Hyperspherical Energy", NeurIPS 2018), and verifies pairs of identities
that it has never seen. You learn how to

- train with a head of `keras_mhe.layers`, which takes features and labels,
- give it the energy of its class vectors, and watch that,
- cut the embedding out, and score it by `verify_pairs`.

Without options the identities are 1,560 characters in the fonts that come with
matplotlib, and the run takes two to three minutes:

    KERAS_BACKEND=torch python examples/sphereface_plus.py

Two methods to compare, the published run, and what a trained model is for:

    python examples/sphereface_plus.py --energy none --seeds 0 1 2
    python examples/sphereface_plus.py --energy batch --seeds 0 1 2
    python examples/compare.py runs/glyphs
    python examples/sphereface_plus.py --recipe published --dataset folders \
        --data_dir FOLDERS --pairs_file pairs.txt --pairs_dir LFW
    python examples/sphereface_plus.py --evaluate RUN/embedding.keras
    python examples/sphereface_plus.py --embed RUN/embedding.keras IMAGES

`docs/sphereface_plus.md` maps the published options to these.
"""

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal

import runs
import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

import identities
import keras_mhe
from identities import Identities
from keras_mhe import layers as heads
from keras_mhe.losses import OneVsAllCrossentropy
from keras_mhe.metrics import Verification, verify_pairs

EMBEDDING = "embedding.keras"
#: What a finished run has measured, and what is printed of it.
METRIC = "verification_accuracy"


@dataclasses.dataclass(frozen=True)
class Options(runs.Options):
    """Trains and verifies an embedding; what is None is of the recipe."""

    head: Literal[
        "softmax", "sphereface", "sphereface_r", "cosface", "arcface",
        "sphereface2",
    ] = "sphereface"  # fmt: skip
    """Head; softmax is the normalised one, without margin."""
    margin: int | float | None = None  # Of the head; None: a usual one.
    scale: float | None = None  # Of the logits, but for sphereface.
    energy: Literal["none", "batch", "full"] = "batch"
    """Energy of the classes of a batch with all, as published, or of all."""
    power_s: Literal["0", "1", "2", "a0", "a1", "a2"] = "2"
    """Power of the energy; of angles for a0, a1, a2."""
    strength: float = 100.0  # Factor of the energy, a mean over pairs.
    lambda_gamma: float | None = None
    """lambda of sphereface is 1000 / (1 + gamma * step), or lambda_min."""
    lambda_min: float = 5.0
    dataset: Literal["glyphs", "folders"] = "glyphs"
    """Characters, or images of one size in a folder for each identity."""
    data_dir: Path | None = None  # Where the folders of the identities are.
    pairs_file: Path | None = None
    """Pairs like LFW's pairs.txt; None: of identities that are held out."""
    pairs_dir: Path | None = None  # Where the identities of pairs_file are.
    num_pairs: int = 6000  # Without a pairs_file.
    mirror: bool | None = None
    """Mirror in training, and append features of mirror images (folders)."""
    recipe: Literal["short", "published"] = "short"
    network: Literal["sphereface20", "sphereface4", "small"] | None = None
    """Published networks of 20 and 4 layers, or a small one."""
    embedding_size: int | None = None
    pretrain_epochs: int | None = None  # Without energy; they come first.
    epochs: int | None = None  # With energy.
    steps_per_epoch: int | None = None  # None: one pass, or 1000 as published.
    pretrain_learning_rate: float | None = None  # The largest one.
    learning_rate: float | None = None  # The largest one with energy.
    batch_size: int | None = None
    weight_decay: float = 5e-4
    """Factor of half the squared norm of kernels, slopes, class vectors."""
    pretrained: Path | None = None
    """Begin with this saved model, instead of a training without energy."""
    seeds: runs.Seeds = (0,)  # A run for each: weights, order, mirroring.
    evaluate: Path | None = None  # Instead, verify pairs with this model.
    embed: tuple[Path, ...] = ()
    """Instead, write embeddings: by a saved model, of images and folders."""
    output: Path | None = None
    """Where runs are (runs/DATASET); a JSON or NPZ file of the two above."""

    MAY_BE_ZERO: ClassVar = ("pretrain_epochs",)


#: Published trainings, by the margin of that with energy, 0 without: thousands
#: of steps, rate, thousands after which it falls, by which factor.
PUBLISHED = {
    0: (28, 0.1, (16, 24), 0.1),
    1: (11, 0.05, (7,), 0.2),
    2: (8, 0.1, (5,), 0.1),
    3: (12, 0.1, (4, 9), 0.1),
    4: (8, 0.01, (4, 6), 0.1),
}
SHORT = {
    "network": "small", "embedding_size": 64, "batch_size": 128, "scale": 16.0,
    "pretrain_epochs": 8, "pretrain_learning_rate": 0.1,
    "epochs": 4, "learning_rate": 0.05, "lambda_gamma": 0.12,
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "glyphs": SHORT,
    "folders": SHORT | {
        "network": "sphereface4", "embedding_size": 512, "scale": 32.0,
        "pretrain_epochs": 20, "epochs": 10,
    },
    "published": {  # The batch is that of two GPUs.
        "network": "sphereface20", "embedding_size": 512, "batch_size": 512,
        "scale": 64.0, "steps_per_epoch": 1000,
        "pretrain_epochs": PUBLISHED[0][0],
        "pretrain_learning_rate": PUBLISHED[0][1],
    },
}  # fmt: skip


def published_training(options: Options) -> Any:
    """Returns the row of a training; heads but sphereface have that of 4."""
    margin = options.margin if options.head == "sphereface" else 4
    if options.pretrain_epochs == 0 and options.pretrained is None:
        margin = 0
    return PUBLISHED.get(margin, PUBLISHED[4])


def completed(given: Options) -> Options:
    """Returns the options with all that the recipe says."""
    if given.pretrained is not None:
        given = dataclasses.replace(given, pretrain_epochs=0)
    margin, mirror = HEADS[given.head][1], given.dataset == "folders"
    options = runs.filled(given, {"margin": margin, "mirror": mirror})
    if given.recipe == "short":
        return runs.filled(options, RECIPES[given.dataset])
    options = runs.filled(options, RECIPES["published"])
    thousands, rate, *_ = published_training(options)
    schedule = {"epochs": thousands, "learning_rate": rate}
    is_low = options.head == "sphereface" and options.margin in (2, 3)
    gamma = 0.11 if is_low else 0.12
    return runs.filled(options, {**schedule, "lambda_gamma": gamma})


def without_energy(given: Options) -> Options:
    """Returns the first training, which methods of one head do only once."""
    options = completed(given)
    schedule = {
        "epochs": options.pretrain_epochs, "pretrain_epochs": 0,
        "learning_rate": options.pretrain_learning_rate,
        "pretrain_learning_rate": None,
    }  # fmt: skip
    energy = {"power_s": Options.power_s, "strength": Options.strength}
    return dataclasses.replace(given, energy="none", **energy, **schedule)


# Heads ----------------------------------------------------------------------

#: Classes of the heads, and their usual margins.
HEADS: dict[str, tuple[Any, Any]] = {
    "softmax": (heads.AngularMargin, None),
    "sphereface": (heads.SphereFace, 4),
    "sphereface_r": (heads.SphereFaceR, 1.7),
    "cosface": (heads.CosFace, 0.35),
    "arcface": (heads.ArcFace, 0.5),
    "sphereface2": (heads.SphereFace2, 0.4),
}


def xavier() -> keras.Initializer:
    """Returns Caffe's "xavier", new each time: one draws the same numbers."""
    return keras.initializers.VarianceScaling(1.0, "fan_in", "uniform")


def head_of(options: Options, num_identities: int) -> heads.AngularMargin:
    """Returns the head, named `head`: features and labels to logits."""
    names = ["scale"] if options.head == "softmax" else ["scale", "margin"]
    if options.head == "sphereface":
        names = ["margin", "lambda_gamma", "lambda_min"]
    energy, decay = None, keras.regularizers.L2(options.weight_decay / 2)
    if options.energy != "none":
        distance = "angular" if "a" in options.power_s else "euclidean"
        power = int(options.power_s[-1])
        energy = keras_mhe.MHE(options.strength, power=power, distance=distance)
    if options.energy == "full":  # As of any kernel; a head's is of a batch.
        energy, decay = None, energy + decay
    arguments = {name: getattr(options, name) for name in names}
    arguments |= {"energy": energy, "kernel_regularizer": decay}
    arguments |= {"kernel_initializer": xavier(), "name": "head"}
    try:
        return HEADS[options.head][0](num_identities, **arguments)
    except ValueError as error:  # The head knows what its margin may be.
        raise runs.UserError(f"--head {options.head}: {error}") from error


# Networks -------------------------------------------------------------------

#: Filters and residual units of each stage, which begins by halving the image;
#: there is no batch normalisation.
NETWORKS = {
    "sphereface20": ((64, 128, 256, 512), (1, 2, 4, 1)),
    "sphereface4": ((64, 128, 256, 512), (0, 0, 0, 0)),
    "small": ((24, 48, 96), (0, 0, 0)),
}


def convolution(
    x: Any, filters: int, stride: int, decay: keras.Regularizer, name: str
) -> Any:
    """Applies a convolution of 3x3, and a PReLU with a slope per channel."""
    residual = keras.initializers.RandomNormal(stddev=0.01)
    kernel = {
        "kernel_initializer": residual if stride == 1 else xavier(),
        "kernel_regularizer": decay,
    }
    given = {"use_bias": stride == 2, "name": name, **kernel}
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(filters, 3, stride, **given)(x)
    slope = keras.initializers.Constant(0.25)
    return layers.PReLU(slope, decay, shared_axes=[1, 2])(x)


def embedding_network(shape: tuple[int, ...], options: Options) -> Any:
    """Builds a network from pixels in [0, 255] to embeddings."""
    decay = keras.regularizers.L2(options.weight_decay / 2)
    images = keras.Input(shape, name="images")
    x = layers.Rescaling(1 / 128, offset=-127.5 / 128)(images)
    stages = zip(*NETWORKS[options.network], strict=True)
    for stage, (filters, units) in enumerate(stages, start=1):
        x = convolution(x, filters, 2, decay, f"conv{stage}_1")
        for place in range(2, 2 * units + 2, 2):
            y = convolution(x, filters, 1, decay, f"conv{stage}_{place}")
            y = convolution(y, filters, 1, decay, f"conv{stage}_{place + 1}")
            x = layers.Add()([x, y])
    kernel = {"kernel_initializer": xavier(), "kernel_regularizer": decay}
    dense = layers.Dense(options.embedding_size, name="features", **kernel)
    return keras.Model(images, dense(layers.Flatten()(x)), name="embedding")


def build(shape: tuple[int, ...], count: int, options: Options) -> Any:
    """Builds the model from images and labels to logits."""
    network = embedding_network(shape, options)
    inputs = [network.input, keras.Input((), dtype="int32", name="labels")]
    logits = head_of(options, count)((network.output, inputs[1]))
    return keras.Model(inputs, logits, name=options.network)


def embedding_of(model: Any, path: str | Path = "") -> Any:
    """Returns the part from images to embeddings, which shares the weights."""
    try:
        features = model.get_layer("features").output
        network = keras.Model(model.inputs[0], features, name="embedding")
        _, height, width, channels = network.input_shape
        if features.ndim != 2 or not (height and width and channels in (1, 3)):
            raise ValueError("its shapes are those of something else")
        return network
    except (ValueError, TypeError, AttributeError) as error:
        problem = f"{path} is no embedding of images."
        raise runs.UserError(f"{problem} Give one trained here.") from error


def begin_with(model: Any, path: Path) -> None:
    """Copies weights; those of the head if it has as many identities."""
    saved = runs.load_model(path)
    weights = embedding_of(saved, path).get_weights()
    try:
        embedding_of(model).set_weights(weights)
    except ValueError as error:
        raise runs.UserError(
            f"{path} has another network than --network, --embedding_size and "
            "the images ask for. Give another file."
        ) from error
    head, other = model.get_layer("head"), saved.layers[-1]
    if isinstance(other, heads.AngularMargin) and head.units == other.units:
        head.kernel.assign(other.kernel)
        head.step.assign(other.step)  # By which lambda falls.


# Verification ---------------------------------------------------------------


def embed(network: Any, images: Any, chosen: Any, mirror: bool) -> np.ndarray:
    """Returns embeddings of images, beside those of mirror images if asked."""
    parts = []
    for block in np.split(chosen, range(256, len(chosen), 256)):
        views = [images[block].astype("float32")]
        if mirror:
            views.append(np.ascontiguousarray(views[0][:, :, ::-1]))
        features = [network.predict_on_batch(view) for view in views]
        parts.append(np.concatenate(features, axis=1))
    return np.concatenate(parts)


def verify(network: Any, images: Any, pairs: Any, mirror: bool) -> Verification:
    """Scores pairs as published: cosines of centered embeddings, in folds."""
    used, places = np.unique([pairs.first, pairs.second], return_inverse=True)
    features = embed(network, images, used, mirror)
    if not np.isfinite(features).all():
        raise runs.UserError("Embeddings are not finite: the model diverged.")
    vectors = features[places.reshape(2, -1)]
    return verify_pairs(*vectors, pairs.is_same, folds=pairs.folds, center=True)


def scores_of(result: Verification) -> dict[str, float]:
    """Returns the scores as a run's metrics name them."""
    return {
        "verification_accuracy": result.accuracy,
        "equal_error_rate": result.eer,
        "tpr_at_1e-2": result.tpr_at_fpr[1e-2],
        "tpr_at_1e-3": result.tpr_at_fpr[1e-3],
        "auc": result.auc,
    }


# Training -------------------------------------------------------------------

#: The class vectors, by the energy that embeddings of any length have.
WATCHED = {
    "power": 0, "distance": "euclidean", "half_space": False,
    "layers": ["head"],
}  # fmt: skip


def compile_model(model: Any, options: Options, total_steps: int) -> None:
    """Compiles with SGD; the rate falls in steps as published, or smoothly."""
    rate = options.learning_rate
    if options.recipe == "published":
        whole, _, places, factor = published_training(options)
        # Keras changes the rate after the step of a boundary, Caffe before.
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
            [max(1, round(p / whole * total_steps)) - 1 for p in places],
            [rate * factor**k for k in range(len(places) + 1)],
        )
    else:
        schedule = runs.rising_and_falling(rate, total_steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if options.head == "sphereface2":  # As published: over the scale.
        loss = OneVsAllCrossentropy(factor=50 / options.scale)
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"])


def training_batches(data: Identities, options: Options, seed: int) -> Any:
    """Returns batches of images with labels, and the labels again."""

    def make(chosen: np.ndarray, generator: Any) -> Any:
        images = data.x_train[chosen]
        if options.mirror:
            images = runs.random_flips(images, generator)
        labels = data.y_train[chosen].astype("int32")
        return (images.astype("float32"), labels), labels

    steps, count = options.steps_per_epoch, len(data.y_train)
    return runs.Batches(count, options.batch_size, make, seed=seed, steps=steps)


def fit(
    model: Any, options: Options, seed: int, data: Identities, folder: Path
) -> None:
    """Trains to the end, from wherever the folder's run stopped."""
    network, head = embedding_of(model), model.get_layer("head")
    batches = training_batches(data, options, seed)
    compile_model(model, options, options.epochs * len(batches))

    def measure(epoch: int, logs: dict[str, Any]) -> None:
        result = verify(network, data.x_test, data.pairs, options.mirror)
        logs["val_accuracy"], logs["val_eer"] = result.accuracy, result.eer
        if options.head == "sphereface":
            logs["lambda"] = float(head.lambda_at(head.step - 1))

    try:
        model.fit(
            batches,
            epochs=options.epochs,
            initial_epoch=runs.restore(model, folder, len(batches)),
            shuffle=False,
            callbacks=[
                keras_mhe.callbacks.EnergyMonitor(**WATCHED),
                keras.callbacks.LambdaCallback(on_epoch_end=measure),
                *runs.callbacks(folder, batches),
            ],
        )
    except Exception as error:  # TensorFlow has another for a damaged image.
        raise (batches.error or error) from None


def run(
    model: Any, options: Options, seed: int, data: Identities, folder: Path
) -> dict[str, Any]:
    """Trains, draws and measures a model; returns the metrics."""
    before = keras_mhe.audit(model, **WATCHED)
    fit(model, options, seed, data, folder)
    network = embedding_of(model)
    runs.write(folder / EMBEDDING, network.save)
    result = verify(network, data.x_test, data.pairs, options.mirror)
    draw(model, before, result, data.pairs.is_same, folder)
    history = runs.read_history(folder)
    metrics = {
        **scores_of(result),
        "best_verification_accuracy": float(history["val_accuracy"].max()),
        **{n: float(history[n][-1]) for n in ("energy_gap", "min_angle")},
        "steps": int(model.optimizer.iterations),
        "images": data.source,
    }
    runs.write_json(folder / runs.METRICS, metrics)
    return metrics


def draw(
    model: Any, before: Any, result: Any, is_same: np.ndarray, folder: Path
) -> None:
    """Draws curves, class vectors now and before, and the verification."""
    titles = {
        "accuracy": "accuracy: with margin in training, of pairs",
        "loss": "loss, energy and weight decay included",
        "energy_gap": "energy gap of class vectors",
    }
    first = {"energy_gap": before[0].gap}
    figure = runs.draw_history(runs.read_history(folder), titles, first)
    runs.save_figure(figure, folder / "training.png")
    after = keras_mhe.audit(model, **WATCHED)
    runs.save_figure(after.plot(before=before), folder / "angles.png")

    figure = Figure(figsize=(9, 4), layout="constrained")
    roc, scores = figure.subplots(1, 2)
    roc.plot(result.false_positive_rates, result.true_positive_rates)
    roc.set(xscale="log", xlabel="false positive rate")
    roc.set_title(f"true positive rate; equal error rate {result.eer:.2%}")
    edges = np.linspace(result.scores.min(), result.scores.max(), 61)
    for label, kind in (("same", is_same), ("different", ~is_same)):
        scores.hist(result.scores[kind], edges, alpha=0.6, label=label)
    scores.axvline(result.thresholds.mean(), color="k", lw=1, ls="--")
    scores.set_title(f"cosines of pairs; {result.accuracy:.2%} right")
    scores.set(yticks=[])
    scores.legend()
    runs.save_figure(figure, folder / "verification.png")


# Use of a trained model -----------------------------------------------------


def evaluate(options: Options) -> None:
    """Verifies pairs with a saved model."""
    path = options.evaluate
    network = embedding_of(runs.load_model(path), path)
    shape = network.input_shape[1:]
    if options.pairs_file is not None and options.pairs_dir is not None:
        places = (options.pairs_file, options.pairs_dir)
        images, pairs = identities.read_pairs(*places, shape)
    else:
        data = load(options)
        images, pairs = data.x_test, data.pairs
    if images.shape[1:] != shape:
        raise runs.UserError(
            f"{path} takes images of the shape {shape}, received "
            f"{images.shape[1:]}. Give what it was trained on."
        )
    result = verify(network, images, pairs, completed(options).mirror)
    scores = scores_of(result)
    if options.output is not None:
        runs.write_json(options.output, scores)
    print(", ".join(f"{name} {value:.4f}" for name, value in scores.items()))


def write_embeddings(options: Options) -> None:
    """Writes embeddings of images, and their paths, to an NPZ file."""
    path, *places = options.embed
    network = embedding_of(runs.load_model(path), path)
    files = [str(f) for place in places for f in identities.find_images(place)]
    if not files:
        raise runs.UserError("--embed needs a model and at least one image.")
    images = identities.ImageFiles(files, shape=network.input_shape[1:])
    everything, mirror = np.arange(len(files)), completed(options).mirror
    features = embed(network, images.check(), everything, mirror)
    output = (options.output or Path("embeddings")).with_suffix(".npz")
    save = functools.partial(np.savez, embeddings=features, files=files)
    runs.write(output, save)
    print(f"{output}: {len(files)} embeddings of length {features.shape[1]}")


def load(options: Options) -> Identities:
    """Loads what to train on and what to verify."""
    if options.dataset == "glyphs":
        return identities.load_glyphs(num_pairs=options.num_pairs)
    if options.data_dir is None:
        raise runs.UserError("--dataset folders needs --data_dir.")
    if (options.pairs_file is None) != (options.pairs_dir is None):
        raise runs.UserError("--pairs_file and --pairs_dir go together.")
    names = ("data_dir", "pairs_file", "pairs_dir", "num_pairs")
    return identities.load_identities(**{n: getattr(options, n) for n in names})


def train(
    given: Options, seed: int, data: Identities, root: Path, start: Path | None
) -> Path:
    """Does a training, or goes on with what there is; returns its folder."""
    options = completed(given)
    title = [options.head, str(options.margin or ""), options.energy]
    title += [options.power_s] if options.energy != "none" else []
    named = {"head", "margin", "energy", "power_s", "dataset", "data_dir"}
    named |= {"pairs_file", "pairs_dir", "pretrained", "seeds", "output"}
    name = runs.name_of(given, "_".join(filter(None, title)), without=named)
    folder = root / f"{name}_seed_{seed}"
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = build(data.x_train.shape[1:], data.num_identities, options)
    if start is not None:
        begin_with(model, start)
    opened = runs.open_run(folder, "sphereface_plus", seed, options, METRIC)
    with opened as finished:
        metrics = finished or run(model, options, seed, data, folder)
    print(f"{folder}: {metrics[METRIC]:.2%} of the pairs")
    return folder


def work(given: Options) -> None:
    """Trains without and then with energy, or does what is asked instead."""
    if given.embed:
        return write_embeddings(given)
    if given.evaluate is not None:
        return evaluate(given)
    data = load(given)
    root = given.output or Path("runs") / given.dataset
    for seed in given.seeds:
        start = given.pretrained
        if completed(given).pretrain_epochs:
            before = root.with_name(f"{root.name}_pretraining")
            first = without_energy(given)
            start = train(first, seed, data, before, None) / runs.MODEL
        train(given, seed, data, root, start)
    return None


main = functools.partial(runs.main, Options, work)

if __name__ == "__main__":
    sys.exit(main())

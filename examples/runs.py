"""What the example programs share around a training.

A run is one setting and one seed in one folder:

| file | holds |
|---|---|
| `settings.json` | every setting, the seed, and versions |
| `history.csv` | a row for each epoch |
| `model.keras` | the model of the last finished epoch, with its optimizer |
| `metrics.json` | the results; a run that has them is finished |

The same command goes on with a run that was killed. A program calls `main`
with the dataclass of its options and a function that does the work; for each
seed it opens a run, builds and compiles a model, calls `restore`, and `fit`
with `callbacks`. `compare.py` reads the folders.
"""

import csv
import dataclasses
import errno
import inspect
import json
import math
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar

INSTALL = "In the folder of this repository run: pip install "
try:
    import filelock
    import keras
    import matplotlib as mpl
    import numpy as np
    import scipy  # noqa: F401, for `compare.py`
    import tyro
    from matplotlib.figure import Figure

    import keras_mhe  # noqa: F401, for its version
    from data import UserError, open_file
except (ImportError, ValueError) as _error:  # The second of Keras' backend.
    # Programs import this module first, so this is all that a user sees.
    print(
        f"{_error}. Set KERAS_BACKEND to tensorflow, jax or torch. {INSTALL}"
        f'".[examples,{os.environ.get("KERAS_BACKEND", "tensorflow")}]"',
        file=sys.stderr,
    )
    sys.exit(2)

SETTINGS, HISTORY = "settings.json", "history.csv"
MODEL, METRICS = "model.keras", "metrics.json"

# Options, and how a program ends --------------------------------------------

#: Of the option `--seeds 0 1 2`, or `--seed 0`.
Seeds = Annotated[tuple[int, ...], tyro.conf.arg(aliases=["--seed"])]


@dataclasses.dataclass(frozen=True)
class Options:
    """Base of a program's options, whose fields make its command line."""

    MAY_BE_ZERO: ClassVar[tuple[str, ...]] = ("seed",)

    def __post_init__(self) -> None:
        """Refuses numbers that no setting can have."""
        for name, value in vars(self).items():
            # Whole numbers count something, but for those of a list.
            may_be_zero = isinstance(value, tuple | float)
            least = 0 if may_be_zero or name in self.MAY_BE_ZERO else 1
            for number in value if isinstance(value, tuple) else (value,):
                is_number = type(number) in (int, float)  # And no bool.
                if is_number and not least <= number < math.inf:
                    needed = f"--{name} must be at least {least} and finite."
                    raise ValueError(f"{needed} Received: {number}.")


def filled(options: Any, recipe: Mapping[str, Any]) -> Any:
    """Returns the options with the recipe's values in place of `None`."""
    missing = {n: v for n, v in recipe.items() if getattr(options, n) is None}
    return dataclasses.replace(options, **missing)


def name_of(options: Options, title: str, without: set[str]) -> str:
    """Names a setting: a title, and all options that are not the default.

    But for those `without`, which the title tells or that change no result.
    """
    given = [
        f"{field.name}_{getattr(options, field.name)}"
        for field in dataclasses.fields(options)
        if field.name not in without
        and getattr(options, field.name) != field.default
    ]
    return re.sub(r"[^\w.+-]+", "-", "_".join([title, *given]))


def main(
    options_class: type[Any],
    work: Callable[[Any], None],
    arguments: list[str] | None = None,
    extra: str = "examples",
) -> int:
    """Works; what the user can mend ends in one line, and exit code 2.

    The `extra` brings the packages that the program needs.
    """
    program = Path(inspect.getfile(work)).name
    how = {"prog": program, "args": arguments, "use_underscores": True}
    options = tyro.cli(options_class, **how)

    def stop(*_: Any) -> None:
        # At once: all files are whole, a KeyboardInterrupt may get lost in a
        # framework, and one that still compiles may crash when Python ends.
        text = f"\n{program}: stopped. The same command goes on.\n"
        os.write(2, text.encode())
        os._exit(130)

    before = signal.signal(signal.SIGINT, stop)
    try:
        work(options)
        return 0
    except ModuleNotFoundError as error:
        message = f'{error}. {INSTALL}".[{extra}]"'
    except (UserError, ImportError) as error:
        message = str(error)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        message = f"{error}. {'Make room' if full else 'Correct the path'}."
    except RuntimeError as error:
        if "Inf loss" not in str(error):  # That of Keras' TerminateOnNaN.
            raise
        message = f"{error} What was saved is finite. Lower the learning rate."
    finally:
        signal.signal(signal.SIGINT, before)
    print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    return 2


# The folder of a run --------------------------------------------------------


@contextmanager
def open_run(
    folder: Path, program: str, seed: int, settings: Options, metric: str
) -> Iterator[dict[str, Any] | None]:
    """Takes the folder for this process and these settings.

    Yields the metrics, if the run is finished; the `metric` is among them.
    Refuses a folder where another process works, and one with a run of other
    settings, or with other files.
    """
    backend = keras.backend.backend()
    run = {"program": program, "seed": seed, "backend": backend}
    run |= dataclasses.asdict(settings)
    for elsewhere in ("output", "seeds"):
        run.pop(elsewhere, None)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / ".lock", blocking=False):
            _claim(folder, json.loads(json.dumps(run, default=str)))
            path = folder / METRICS
            finished = read_json(path) if path.exists() else None
            if finished and not isinstance(finished.get(metric), float):
                raise useless(path, f"has no {metric}")
            print(f"{folder}: {'finished before' if finished else 'training'}")
            yield finished
    except filelock.Timeout as error:
        raise UserError(f"Another process works in {folder}.") from error


def _claim(folder: Path, run: dict[str, Any]) -> None:
    path = folder / SETTINGS
    if not path.exists():
        if any(folder.glob("[!.]*")):
            problem = f"{folder} holds files of something else."
            raise UserError(f"{problem} Give another --output.")
        modules = ("keras_mhe", "keras", "numpy", run["backend"])
        versions = {name: sys.modules[name].__version__ for name in modules}
        write_json(path, {"settings": run, "versions": versions})
    there = read_json(path).get("settings")
    if not isinstance(there, dict):
        raise UserError(f"{path} is of something else. Give another --output.")
    for name in run | there:
        if there.get(name) != run.get(name):
            raise UserError(
                f"{folder} holds a run with {name}={there.get(name)!r}, now "
                f"{run.get(name)!r}. Give another --output, or remove it."
            )


def write(path: Path, save: Callable[[Path], Any]) -> None:
    """Writes a file beside `path`, then moves it there: all of it, or none."""
    unfinished = path.with_name(f".unfinished.{path.name}")
    try:
        save(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON, which has no NaN."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write(path, lambda place: place.write_text(text))


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object without NaN."""

    def refuse(constant: str) -> None:
        raise ValueError(f"it holds {constant}")

    with open_file(path) as file:
        try:
            content = json.loads(file.read(), parse_constant=refuse)
            if not isinstance(content, dict):
                raise ValueError("it is no JSON object")
        except ValueError as error:
            raise useless(path, f"is damaged ({error})") from error
    return content


def useless(path: Path, problem: str) -> UserError:
    """Returns the refusal of a file without which a run cannot go on."""
    return UserError(f"{path} {problem}. Remove its folder to train again.")


def read_history(folder: Path) -> dict[str, np.ndarray]:
    """Reads the epochs of a run, an array for each log, without NaN."""
    path = folder / HISTORY
    with open_file(path) as file:
        text = file.read().decode(errors="replace")
    try:
        rows = list(csv.DictReader(text.splitlines()))
        # Keras fills columns of a validation that there is not with NA.
        names = [name for name, value in rows[0].items() if value != "NA"]
        columns = {n: np.array([float(row[n]) for row in rows]) for n in names}
        if columns.pop("epoch").tolist() != list(range(len(rows))):
            raise ValueError("its epochs do not count from 0")
        if not np.isfinite(list(columns.values())).all():
            raise ValueError("it holds NaN")
    except (ValueError, TypeError, LookupError, csv.Error) as error:
        raise useless(path, f"is damaged ({error})") from error
    return columns


# Around `fit` ---------------------------------------------------------------


def rising_and_falling(rate: float, steps: int) -> Any:
    """Returns a schedule: up in a twentieth of the steps, then down."""
    warmup = max(1, steps // 20)
    rise = {"warmup_target": rate, "warmup_steps": warmup}
    fall = max(1, steps - warmup)
    return keras.optimizers.schedules.CosineDecay(rate / warmup, fall, **rise)


class SaveModel(keras.callbacks.Callback):
    """Saves the model after each epoch, whole and finite.

    `BackupAndRestore` of Keras writes weights in place, and then the number of
    the epoch. Here the optimizer's steps, in the same file, tell the epoch.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes the file; list it after the log of the epoch."""
        if not _is_finite(self.model):
            raise UserError(
                f"The training diverged in epoch {epoch + 1}: weights are not "
                "finite. What was saved is. Lower the learning rate."
            )
        write(self.folder / MODEL, self.model.save)


def callbacks(folder: Path, batches: "Batches") -> list[Any]:
    """Returns what each training needs; list it after what adds logs."""

    def begin(epoch: int, logs: Any) -> None:
        batches.epoch = epoch

    def end(epoch: int, logs: Any) -> None:
        for name in [name for name in logs if "/" in name]:
            logs.pop(name)  # Single layers stay out of the progress bar.

    return [
        keras.callbacks.TerminateOnNaN(raise_error=True),
        keras.callbacks.CSVLogger(str(folder / HISTORY), append=True),
        SaveModel(folder),
        keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end),
    ]


def restore(model: keras.Model, folder: Path, steps_per_epoch: int) -> int:
    """Loads the last finished epoch, if there is one; returns their number."""
    path, history = folder / MODEL, folder / HISTORY
    if not path.exists():
        history.unlink(missing_ok=True)
        return 0
    model.optimizer.build(model.trainable_variables)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Of what is not loaded.
            model.load_weights(path)
        if not _is_finite(model):
            raise ValueError("weights are not finite")
    except Exception as error:  # Whatever a damaged file makes Keras raise.
        raise useless(path, _loading_failed(error)) from error
    finished = int(model.optimizer.iterations) // steps_per_epoch
    # A kill before the model was written leaves a row too many.
    with open_file(history) as file:
        lines = file.read().splitlines(keepends=True)[: finished + 1]
    write(history, lambda place: place.write_bytes(b"".join(lines)))
    if len(next(iter(read_history(folder).values()))) != finished:
        raise useless(history, f"has not the {finished} epochs of the model")
    print(f"{folder}: goes on after epoch {finished}", flush=True)
    return finished


def _is_finite(model: keras.Model) -> bool:
    arrays = map(keras.ops.convert_to_numpy, model.weights)
    return all(np.isfinite(array).all() for array in arrays)


def _loading_failed(error: Exception) -> str:
    line = str(error).strip().split("\n")[0][:200]
    return f"cannot be loaded ({line or type(error).__name__})"


def load_model(path: Path) -> keras.Model:
    """Loads a `.keras` file; no code that is in it is run."""
    open_file(path).close()
    try:
        if path.suffix != ".keras":
            raise ValueError("its name must end in .keras")
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Whatever a damaged file makes Keras raise.
        problem = f"{path} {_loading_failed(error)}."
        raise UserError(f"{problem} Give the {MODEL} of a run.") from error


def random_flips(images: np.ndarray, generator: Any) -> np.ndarray:
    """Mirrors each image horizontally with probability one half."""
    is_flipped = generator.random(len(images)) < 0.5
    return np.where(is_flipped[:, None, None, None], images[:, :, ::-1], images)


class Batches(keras.utils.PyDataset):
    """Full batches for `fit`, in an order that is new in each pass.

    What is in a batch depends on seed and step alone, so a run that goes on
    after a kill sees what it would have seen. Give `fit` `shuffle=False`.

    Args:
        count: Number of examples.
        batch_size: Examples of a batch; all, if there are fewer.
        make: From the indices of a batch, and a random generator for
            augmentation, to what `fit` takes.
        seed: Of the order, and of that generator.
        steps: Batches of an epoch. `None` makes an epoch one pass, without
            the rest that does not fill a batch.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        make: Callable[[np.ndarray, np.random.Generator], Any],
        *,
        seed: int,
        steps: int | None = None,
    ) -> None:
        super().__init__()
        self.count, self.batch_size = count, min(batch_size, count)
        self.make, self.seed = make, seed
        self.epoch = 0  # Set by a callback: Keras' hook comes too often.
        self.error: UserError | None = None  # TensorFlow raises its own.
        self.batches_of_pass = self.count // self.batch_size
        self.steps = steps or self.batches_of_pass
        self._pass, self._order = -1, np.empty(0, "int64")

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        return self.steps

    def __getitem__(self, index: int) -> Any:
        """Makes a batch of the present epoch."""
        step = self.epoch * self.steps + index
        number, place = divmod(step, self.batches_of_pass)
        if number != self._pass:
            generator = np.random.default_rng((self.seed, number))
            self._pass, self._order = number, generator.permutation(self.count)
        start = place * self.batch_size
        chosen = self._order[start : start + self.batch_size]
        generator = np.random.default_rng((self.seed, step, 1))
        try:
            return self.make(chosen, generator)
        except UserError as error:
            self.error = error
            raise


def save_figure(figure: Figure, path: Path) -> Path:
    """Writes a picture; returns its path."""
    write(path, lambda place: figure.savefig(place, dpi=110))
    return path


def in_picture(name: str) -> str:
    """Returns a name in which matplotlib sees no formula."""
    return name.replace("$", r"\$")


def draw_history(
    history: Mapping[str, np.ndarray],
    titles: Mapping[str, str],
    before: Mapping[str, float] | None = None,
) -> Figure:
    """Draws logs over the epochs, a picture for each log that has a title.

    `val_LOG` and the `LOG/NAME` of layers are drawn too, if there are some.
    Curves begin with the values `before` the training, as far as given.
    """
    figure = Figure(figsize=(4.6 * len(titles), 4), layout="constrained")
    grid = figure.subplots(1, len(titles), squeeze=False)[0]
    for axes, (log, title) in zip(grid, titles.items(), strict=True):
        layers = [name for name in history if name.startswith(f"{log}/")]
        names = layers or [n for n in (log, f"val_{log}") if n in history]
        shades = mpl.colormaps["viridis"](np.linspace(0, 0.95, len(names)))
        for index, name in enumerate(names):
            values, first = history[name], 1
            if before and name in before:
                values, first = np.insert(values, 0, before[name]), 0
            axes.plot(
                np.arange(first, first + len(values)),
                values,
                color=shades[index] if layers else f"C{index}",
                marker="o" if len(values) < 3 else None,
                label=in_picture(name.removeprefix(f"{log}/")),
            )
        place = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
        axes.legend(fontsize="small", **(place if layers else {}))
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if log == "energy_gap":  # Of the proven optimum, of random neurons.
            axes.axhline(0, color="0.5", lw=1)
            axes.axhline(1, color="0.5", lw=1, ls="--")
    return figure

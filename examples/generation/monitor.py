"""What is kept and measured while a GAN trains."""

from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np

from common.run_folder import write_arrays, write_atomically
from generation.batches import fixed_noise, to_pixels
from generation.sheets import write_sheet
from keras_mhe.functional import singular_values
from keras_mhe.layers import SpectralNormalization

SNAPSHOTS = "snapshots"
SAMPLES = "samples"
SPECTRA = "singular_values.npz"
#: Images on a sheet.
SHEET = 64


class SpectralMonitor(keras.callbacks.Callback):
    """Measures the singular values of each kernel of the discriminator.

    Of the kernels that the layers compute with, so the largest is near one
    with spectral normalization: `sigma/LAYER` in the logs. All of them are
    written to `SPECTRA`, an array `(epochs, values)` for each layer.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._path = folder / SPECTRA

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Measures and writes."""
        found = spectra(self.model.discriminator)
        if logs is not None:
            for name, values in found.items():
                logs[f"sigma/{name}"] = float(values[0])
        tables = {name: values[None] for name, values in found.items()}
        if epoch > 0 and self._path.exists():
            # Without what a killed run measured after its last backup.
            before = read_spectra(self._path)
            tables = {
                name: np.concatenate([before[name][:epoch], table])
                for name, table in tables.items()
            }
        write_arrays(self._path, **tables)


def read_spectra(path: Path) -> dict[str, np.ndarray]:
    """Returns singular values `(epochs, values)` of each layer."""
    with np.load(path, allow_pickle=False) as tables:
        return dict(tables)


def spectra(discriminator: keras.Model) -> dict[str, np.ndarray]:
    """Returns the singular values of the kernels that layers compute with."""
    found = {}
    for layer in discriminator.layers:
        if isinstance(layer, SpectralNormalization):
            (kernel,) = layer.normalized_kernels()
            name = layer.layer.name
        elif hasattr(layer, "kernel"):
            kernel, name = layer.kernel, layer.name
        else:
            continue
        found[name] = keras.ops.convert_to_numpy(singular_values(kernel))
    return found


def by_step(paths: Iterable[Path]) -> list[Path]:
    """Returns files of names that end in `_STEP`, in the order of the steps."""
    return sorted(paths, key=lambda path: int(path.stem.rpartition("_")[2]))


class Snapshots(keras.callbacks.Callback):
    """Draws a sheet of images from fixed noise, and keeps the generator.

    Args:
        folder: The run's folder.
        epochs: Epochs, counted from 1, after which the generator is kept; a
            sheet is drawn after every epoch.
        seed: Seed of the noise.
    """

    def __init__(self, folder: Path, epochs: set[int], seed: int) -> None:
        super().__init__()
        self._folder = folder
        self._epochs = epochs
        self._noise = fixed_noise(SHEET, seed)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Draws, and keeps if this is one of the epochs."""
        step = int(self.model.optimizer.iterations)
        generator = self.model.averaged_generator
        images = to_pixels(
            generator.predict(self._noise, batch_size=SHEET, verbose=0)
        )
        write_sheet(images, self._folder / SAMPLES / f"step_{step:06d}.png")
        if epoch + 1 in self._epochs:
            path = self._folder / SNAPSHOTS / f"generator_{step:06d}.keras"
            write_atomically(path, generator.save)

"""What is kept and measured while a GAN trains."""

from pathlib import Path

import keras
import numpy as np

from common.checkpoints import BACKUP
from common.run_folder import write_atomically
from generation.batches import fixed_noise, to_pixels
from generation.sheets import write_sheet
from keras_mhe.functional import singular_values
from keras_mhe.layers import SpectralNormalization

SNAPSHOTS = "snapshots"
SAMPLES = "samples"
#: Images on a sheet.
SHEET = 64


class SpectralMonitor(keras.callbacks.Callback):
    """Adds the largest singular value of each kernel of the discriminator.

    `sigma/LAYER` is that of the kernel that the layer computes with, so near
    one with spectral normalization.
    """

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Measures."""
        if logs is None:
            return
        for name, values in spectra(self.model.discriminator).items():
            logs[f"sigma/{name}"] = float(values[0])


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


class Backup(keras.callbacks.Callback):
    """Keeps the weights and both optimizers after every epoch; list it last."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the backup."""
        write_atomically(self._folder / BACKUP, self.model.save_weights)

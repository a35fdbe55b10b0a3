"""Sheets of images, without a plotting library in between."""

from pathlib import Path

import numpy as np
from PIL import Image

from common.run_folder import write_atomically

#: Sides shorter than this are enlarged, pixel by pixel.
_SMALLEST_SIDE = 32


def sheet(images: np.ndarray, columns: int = 8) -> np.ndarray:
    """Puts images side by side.

    Args:
        images: uint8, shape `(num, height, width, channels)`.
        columns: Images in a row; the last row is filled with black.

    Returns:
        uint8, shape `(height, width)` or `(height, width, 3)`, with a line
        of one pixel around each image.
    """
    factor = max(1, -(-_SMALLEST_SIDE // images.shape[1]))
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    images = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)])
    missing = -len(images) % columns
    images = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)])
    count, height, width, channels = images.shape
    rows = images.reshape(count // columns, columns, height, width, channels)
    table = rows.transpose(0, 2, 1, 3, 4).reshape(
        count // columns * height, columns * width, channels
    )
    return table[..., 0] if channels == 1 else table


def write_sheet(images: np.ndarray, path: Path) -> Path:
    """Writes a sheet as PNG; returns its path."""
    picture = Image.fromarray(sheet(images))
    write_atomically(path, picture.save)
    return path


def read_sheet(path: Path) -> Image.Image:
    """Returns a written sheet; its file is closed."""
    with Image.open(path) as picture:
        return picture.copy()


def write_animation(sheets: list[Path], path: Path) -> Path:
    """Writes sheets, one after the other, as an animated GIF."""
    # Colors of its own for each frame.
    frames = [read_sheet(name).quantize() for name in sheets]
    write_atomically(
        path,
        lambda place: frames[0].save(
            place,
            save_all=True,
            append_images=frames[1:],
            # Milliseconds; the last one stays longer.
            duration=[200] * (len(frames) - 1) + [2000],
            loop=0,
        ),
    )
    return path

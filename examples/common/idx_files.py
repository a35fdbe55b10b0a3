"""Parses IDX, the array format of MNIST and its descendants.

A file is gzip-compressed and holds, big-endian: two zero bytes, one byte for
the element type (8 is uint8), one byte for the number of axes, one 32-bit
length per axis, and then the elements.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from common.dataset_types import DataError

_UINT8 = 8


def parse_idx(compressed: bytes, *, ndim: int, path: Path) -> np.ndarray:
    """The uint8 array held by a gzip-compressed IDX file.

    Args:
        compressed: Contents of the file, verified by the caller.
        ndim: Number of axes to expect: 3 for images, 1 for labels.
        path: Where the contents came from, for error messages.

    Returns:
        The array, of `ndim` axes.

    Raises:
        DataError: If the contents are not such a file.
    """
    try:
        contents = gzip.decompress(compressed)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is not a complete gzip file ({error}). Download it again."
        ) from error

    header_size = 4 + 4 * ndim
    magic = bytes([0, 0, _UINT8, ndim])
    if contents[:4] != magic or len(contents) < header_size:
        raise DataError(
            f"{path} is not an IDX file of {ndim} axes: expected it to start "
            f"with {magic.hex()}, received {contents[:4].hex()}. "
            "Download it again."
        )
    shape = struct.unpack(f">{ndim}I", contents[4:header_size])
    num_elements = len(contents) - header_size
    if num_elements != math.prod(shape):
        raise DataError(
            f"{path} announces the shape {shape}, but holds {num_elements} "
            "elements. Download it again."
        )
    return np.frombuffer(contents, np.uint8, offset=header_size).reshape(shape)

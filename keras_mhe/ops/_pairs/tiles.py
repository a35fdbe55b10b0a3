"""How wide the tiles of a table of pairs are, and columns cut to that width."""

import math

from keras import ops

from keras_mhe import _numerics
from keras_mhe._typing import Tensor
from keras_mhe.ops._pairs.columns import MULTIPLE, Columns
from keras_mhe.ops._pairs.groups import by_group

#: Edge of a tile on a CPU: its table and temporaries stay in the cache.
_CPU_TILE = 512

#: A table of up to this many columns is one tile on a CPU. Both numbers are
#: measured, see the page on speed.
_CPU_DENSE = 768

#: The same on accelerators, where a tile must keep thousands of cores busy.
#: Chosen by the memory of a tile, 64 MiB; not measured.
_ACCELERATOR_TILE = 4096
_ACCELERATOR_DENSE = 8192

#: `"auto"` never takes narrower tiles, however many rows or tables they have.
_SMALLEST_AUTO = 8


def choose_tile(
    block_size: int | str,
    num_columns: Tensor,
    *,
    num_tables: int = 1,
    num_rows: Tensor | None = None,
    dim: Tensor = 1,
    on_cpu: bool = True,
) -> int | None:
    """Returns the number of columns in a block, or `None` for all at once.

    Args:
        block_size: What the user asked for: columns in a block, or `"auto"`.
        num_columns: Columns of a table.
        num_tables: Tables, of each of which one tile is alive at once.
        num_rows: Rows of a table that is not square; one that is not known
            counts as square.
        dim: Entries of a column; long ones have tiles of multiples of 16.
        on_cpu: Whether the tiles are computed by a CPU.

    Returns:
        An int that divides the columns into blocks of nearly equal size.
        `None` if one block holds all of them, or if their number is not
        known.
    """
    if not isinstance(num_columns, int):
        return None
    if block_size == "auto":
        edge = _CPU_TILE if on_cpu else _ACCELERATOR_TILE
        dense = _CPU_DENSE if on_cpu else _ACCELERATOR_DENSE
        is_square = not isinstance(num_rows, int)
        rows = num_rows if isinstance(num_rows, int) else num_columns
        if num_tables * rows * num_columns <= dense**2:
            return None
        entries = edge**2 // num_tables
        block_size = math.isqrt(entries) if is_square else entries // rows
        block_size = max(block_size, _SMALLEST_AUTO)
    block_size = int(block_size)
    if block_size >= num_columns:
        return None
    num_blocks = -(-num_columns // block_size)
    tile = -(-num_columns // num_blocks)
    if not (isinstance(dim, int) and dim <= _numerics.SHORT):
        tile = -(-tile // MULTIPLE) * MULTIPLE
    return tile if tile < num_columns else None


def to_blocks(columns: Columns, tile: int) -> Columns:
    """Cuts columns into blocks, stacked along a new first axis.

    The last block is padded with columns of zeros that do not count.
    """
    num_blocks = -(-columns.size // tile)
    padded = columns.padded(num_blocks * tile)
    return padded.each(lambda part: by_group(part, num_blocks))


def from_blocks(blocks: Tensor, size: int) -> Tensor:
    """Returns the columns of blocks side by side, without padding."""
    num_blocks, *leading, tile = ops.shape(blocks)
    stack = ops.moveaxis(blocks, 0, -2)
    return ops.reshape(stack, (*leading, num_blocks * tile))[..., :size]

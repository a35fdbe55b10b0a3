"""PyTorch's side of `keras_mhe._backend`."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.module_tracker import ModuleTracker

#: See `_backend.INDEX_DTYPE`.
INDEX_DTYPE = "int64"

#: See `_backend.SEES_RECOMPUTATION`.
SEES_RECOMPUTATION = True

_TRACKER = ModuleTracker()


def known_values(indices: Any) -> np.ndarray | None:
    """Returns the values of `indices`, or `None` while they have none.

    Waits for the device that holds them.
    """
    has_values = type(indices) is torch.Tensor  # Not a fake tensor.
    if torch.compiler.is_compiling() or not has_values or indices.is_meta:
        return None
    values: np.ndarray = indices.detach().cpu().numpy()
    return values


def value_of(tensor: Any) -> Any:
    """Returns the tensor; Keras hands over no other kind of variable."""
    return tensor


def arctan2(sine: Any, cosine: Any) -> Any:
    """Returns the angle of each point, in the dtype of its coordinates."""
    return torch.atan2(sine, cosine)


def cosine(angle: Any) -> Any:
    """Returns the cosine of each angle, in the angles' dtype."""
    return torch.cos(angle)


def sine(angle: Any) -> Any:
    """Returns the sine of each angle, in the angles' dtype."""
    return torch.sin(angle)


def at_least(tensor: Any, bound: float) -> Any:
    """Returns the larger of each entry and a number, in the entries' dtype."""
    return torch.clamp(tensor, min=bound)


def largest_magnitudes(matrix: Any) -> Any:
    """Returns the largest absolute value in each column, without a copy."""
    if torch.compiler.is_compiling():  # It makes no copy of the magnitudes.
        return torch.amax(torch.abs(matrix), dim=0)
    largest, smallest = torch.amax(matrix, dim=0), torch.amin(matrix, dim=0)
    return torch.maximum(largest, -smallest)


def matmul(
    first: Any,
    second: Any,
    *,
    transpose_first: bool = False,
    transpose_second: bool = False,
) -> Any:
    """Returns the matrix product, in the full precision of the dtype.

    Also under `torch.autocast`, and where PyTorch was told to round the factors
    of float32 products, as by `torch.set_float32_matmul_precision("high")`.
    """
    first = first.transpose(-1, -2) if transpose_first else first
    second = second.transpose(-1, -2) if transpose_second else second
    device = first.device.type
    if torch.amp.is_autocast_available(device) and (
        torch.is_autocast_enabled(device)
    ):
        with torch.autocast(device, enabled=False):
            return _full_product(first, second)
    return _full_product(first, second)


def _full_product(first: Any, second: Any) -> Any:
    if first.dtype != torch.float32 or not constant(_rounds, first.device):
        return _product(first, second)
    high, other_high = _high_part(first), _high_part(second)
    # What is left out is 2**-22 of the product.
    low = _product(high, second - other_high)
    low = low + _product(first - high, other_high)
    return _product(high, other_high) + low


def _product(first: Any, second: Any) -> Any:
    return torch.matmul(first, second)


def _rounds(device: Any) -> bool:
    """Whether PyTorch rounds the factors of float32 products now."""
    if device.type == "meta":
        return False
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        setting = (
            torch.backends.mkldnn.matmul.fp32_precision
            if device.type == "cpu"
            else torch.backends.cuda.matmul.fp32_precision
        )
    else:
        setting = torch.get_float32_matmul_precision()
    if setting in ("ieee", "none", "highest"):
        return False
    return _is_rounded(device, setting)


@functools.lru_cache
def _is_rounded(device: Any, setting: str) -> bool:
    """Whether a device does what the setting allows: not all of them can."""
    identity = torch.eye(512, device=device)
    fine = torch.full_like(identity, 1.0 + 2.0**-12)
    return not torch.equal(_product(identity, fine), fine)


def _high_part(matrix: Any) -> Any:
    """Returns a float32 matrix without the last 13 of its 24 bits."""
    return (matrix.view(torch.int32) & -(1 << 13)).view(torch.float32)


def multiply_no_nan(tensor: Any, factors: Any) -> Any:
    """Returns the product, which is 0 where a factor is 0, even for NaN.

    Overwrites the tensor. NaN becomes 0 wherever it is, and infinity finite;
    the columns that have them get the factor 0.
    """
    if is_exporting():  # OpenVINO has no `nan_to_num_`.
        zeros = torch.zeros_like(tensor)
        return torch.where(factors == 0, zeros, tensor * factors)
    return tensor.mul_(factors).nan_to_num_(nan=0.0)


def multiply_and_cut(tensor: Any, factors: Any, largest: float) -> Any:
    """Returns the product, cut at `largest` on both sides of 0."""
    return (tensor * factors).clamp_(-largest, largest)


def set_diagonal(table: Any, values: Any) -> Any:
    """Returns square matrices with these values on their diagonals.

    Overwrites the table, unless the compiler can fuse a choice.
    """
    is_tensor = isinstance(values, torch.Tensor)
    if torch.compiler.is_compiling():
        size = table.shape[-1]
        is_diagonal = torch.eye(size, dtype=torch.bool, device=table.device)
        values = values.unsqueeze(-1) if is_tensor else values
        return torch.where(is_diagonal, values, table)
    diagonal = table.diagonal(dim1=-2, dim2=-1)
    if is_tensor:
        diagonal.copy_(values)
    else:
        diagonal.fill_(values)
    return table


def padded(tensor: Any, padding: int) -> Any:
    """Returns a tensor with zeros after the entries of its last axis."""
    return torch.nn.functional.pad(tensor, (0, padding))


def scale(table: Any, rows: Any, columns: Any) -> Any:
    """Returns a table with factors for its rows and columns, in place."""
    table.mul_(rows.unsqueeze(-1))
    return table if columns is None else table.mul_(columns.unsqueeze(-2))


def new_sums(blocks: Any) -> Any:
    """Returns a sum of zero for each block of a stack."""
    return torch.zeros_like(blocks)


def add_at(sums: Any, index: int, update: Any) -> Any:
    """Returns the sums with `update` added to the one at `index`, in place."""
    sums[index].add_(update)
    return sums


def stack(sums: Any) -> Any:
    """Returns the sums as one tensor."""
    return sums


def take_columns(matrix: Any, indices: Any) -> Any:
    """Returns the columns at indices that are in range."""
    return torch.index_select(matrix, 1, indices)


def add_to_columns(matrix: Any, indices: Any, columns: Any) -> Any:
    """Returns `matrix` with columns added, in place; indices may repeat."""
    return matrix.index_add_(1, indices, columns)


def device_shards(columns: Any) -> None:
    """Returns `None`: Keras shards no variable on this backend."""
    return None


def runs_on_cpu(tensor: Any) -> bool:
    """Returns whether computations with the tensor run on a CPU."""
    return bool(tensor.device.type == "cpu")


def constant(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function whose result `torch.compile` takes as a constant."""
    if torch.compiler.is_compiling():
        return _call_once(function, *args)
    return function(*args)


def is_exporting() -> bool:
    """Returns whether a program is traced by TorchScript, for inference.

    Its readers do not know functions with gradients of their own.
    """
    return bool(torch.jit.is_tracing())


def is_recomputing() -> bool:
    """Returns whether the call is made by a backward pass.

    A traced one is not.
    """
    return not torch.compiler.is_compiling() and bool(_TRACKER.is_bw)


def loss_summand(loss: Any) -> Any:
    """Returns the loss, since sums take the wider of two dtypes."""
    return loss


def repeat(times: int, step: Callable[..., Any], state: Any) -> Any:
    """Repeats a step."""
    for _ in range(times):
        state = step(*state)
    return state


def as_one_program(
    function: Callable[..., Any], tensor: Any, *constants: Any
) -> Any:
    """Calls a function with long loops, outside of `torch.compile`."""
    return without_unrolling(function, tensor, *constants)


def without_unrolling(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function with long loops, outside of `torch.compile`.

    The compiler would write out every iteration. The function runs as it
    does in eager mode, between two compiled parts.
    """
    if torch.compiler.is_compiling():
        return _call_eagerly(function, *args)
    return function(*args)


def _call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


_call_eagerly = torch.compiler.disable(_call)
_call_once = torch.compiler.assume_constant_result(_call)

"""JAX's side of `keras_mhe._backend`."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.sharding import PartitionSpec

#: See `_backend.INDEX_DTYPE`.
INDEX_DTYPE = "int32"

#: See `_backend.SEES_RECOMPUTATION`.
SEES_RECOMPUTATION = False

#: Products that one sum of a matrix product adds up.
_LONGEST_SUM = 384


def known_values(indices: Any) -> np.ndarray | None:
    """Returns the values of `indices`, or `None` inside a traced function."""
    if isinstance(indices, jax.core.Tracer):
        return None
    return np.asarray(indices)


def value_of(tensor: Any) -> Any:
    """Returns the tensor; Keras hands over no other kind of variable."""
    return tensor


def arctan2(sine: Any, cosine: Any) -> Any:
    """Returns the angle of each point, in the dtype of its coordinates."""
    return jnp.arctan2(sine, cosine)


def cosine(angle: Any) -> Any:
    """Returns the cosine of each angle, in the angles' dtype."""
    return jnp.cos(angle)


def sine(angle: Any) -> Any:
    """Returns the sine of each angle, in the angles' dtype."""
    return jnp.sin(angle)


def at_least(tensor: Any, bound: float) -> Any:
    """Returns the larger of each entry and a number, in the entries' dtype."""
    return jnp.maximum(tensor, bound)


def largest_magnitudes(matrix: Any) -> Any:
    """Returns the largest absolute value in each column."""
    return jnp.max(jnp.abs(matrix), axis=0)


def matmul(
    first: Any,
    second: Any,
    *,
    transpose_first: bool = False,
    transpose_second: bool = False,
) -> Any:
    """Returns the matrix product, in the full precision of the dtype."""
    if transpose_first:
        first = jnp.swapaxes(first, -1, -2)
    if transpose_second:
        second = jnp.swapaxes(second, -1, -2)
    if isinstance(first, jax.core.Tracer) or first.shape[-1] <= _LONGEST_SUM:
        return _product(first, second)
    # Not compiled, XLA adds up all products in one row.
    return sum(
        _product(
            first[..., k : k + _LONGEST_SUM],
            second[..., k : k + _LONGEST_SUM, :],
        )
        for k in range(0, first.shape[-1], _LONGEST_SUM)
    )


def _product(first: Any, second: Any) -> Any:
    return jnp.matmul(first, second, precision=jax.lax.Precision.HIGHEST)


def multiply_no_nan(tensor: Any, factors: Any) -> Any:
    """Returns the product, which is 0 where a factor is 0, even for NaN."""
    return jnp.where(factors == 0, 0, tensor * factors)


def multiply_and_cut(tensor: Any, factors: Any, largest: float) -> Any:
    """Returns the product, cut at `largest` on both sides of 0."""
    return jnp.clip(tensor * factors, -largest, largest)


def set_diagonal(table: Any, values: Any) -> Any:
    """Returns square matrices with these values on their diagonals."""
    is_diagonal = jnp.eye(table.shape[-1], dtype=bool)
    return jnp.where(
        is_diagonal, jnp.expand_dims(jnp.asarray(values), -1), table
    )


def padded(tensor: Any, padding: int) -> Any:
    """Returns a tensor with zeros after the entries of its last axis."""
    return jnp.pad(tensor, [(0, 0)] * (tensor.ndim - 1) + [(0, padding)])


def scale(table: Any, rows: Any, columns: Any) -> Any:
    """Returns a table with factors for its rows and columns, if any."""
    table = table * rows[..., None]
    return table if columns is None else table * columns[..., None, :]


def new_sums(blocks: Any) -> Any:
    """Returns a sum of zero for each block of a stack."""
    return jnp.zeros_like(blocks)


def add_at(sums: Any, index: Any, update: Any) -> Any:
    """Returns the sums with `update` added to the one at `index`."""
    return sums.at[index].add(update)


def stack(sums: Any) -> Any:
    """Returns the sums as one tensor."""
    return sums


def take_columns(matrix: Any, indices: Any) -> Any:
    """Returns the columns at indices that are in range."""
    return jnp.take(matrix, indices, axis=1, mode="clip")


def add_to_columns(matrix: Any, indices: Any, columns: Any) -> Any:
    """Returns `matrix` with columns added; indices may repeat."""
    return matrix.at[:, indices].add(columns)


def runs_on_cpu(tensor: Any) -> bool:
    """Returns whether computations with the tensor run on a CPU."""
    return bool(jax.default_backend() == "cpu")


def constant(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function of constants, which a program holds as its result."""
    return function(*args)


def is_exporting() -> bool:
    """Returns `False`: exporters of this backend know functions' gradients."""
    return False


def is_recomputing() -> bool:
    """Returns `False`: this backend does not tell."""
    return False


def loss_summand(loss: Any) -> Any:
    """Returns the loss, since sums take the wider of two dtypes."""
    return loss


def repeat(times: int, step: Callable[..., Any], state: Any) -> Any:
    """Repeats a step; outside of a traced function without compiling it."""
    if any(isinstance(part, jax.core.Tracer) for part in state):
        return jax.lax.fori_loop(0, times, lambda _, state: step(*state), state)
    for _ in range(times):
        state = step(*state)
    return state


def as_one_program(
    function: Callable[..., Any], tensor: Any, *constants: Any
) -> Any:
    """Calls a function of a tensor, compiled once for all that is the same."""
    return _jitted(function, len(constants))(tensor, *constants)


@functools.lru_cache
def _jitted(function: Callable[..., Any], num_constants: int) -> Any:
    return jax.jit(function, static_argnums=range(1, 1 + num_constants))


def without_unrolling(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function with long loops, which a program holds as loops."""
    return function(*args)


@dataclass(frozen=True)
class DeviceShards:
    """Columns of a matrix, spread in equal parts over devices.

    Attributes:
        mesh: All devices.
        axes: Names of the mesh axes over which the columns are spread.
        count: Number of parts.
    """

    mesh: Any
    axes: tuple[str, ...]
    count: int

    def map(
        self, function: Callable[..., Any], columns: Any, *shared: Any
    ) -> tuple[Any, Any]:
        """Runs `function(*parts, *shared)` on each device with its parts.

        Args:
            function: Returns a scalar that is the same on all devices, and a
                matrix that is the device's part of the columns.
            columns: Tuple of a matrix and of vectors with an entry for each of
                its columns.
            shared: Tensors that each device gets whole.
        """
        by_column = PartitionSpec(None, self.axes)
        by_entry = PartitionSpec(self.axes)
        matrix, *vectors = columns
        total, matrix = jax.shard_map(
            function,
            mesh=self.mesh,
            in_specs=(
                by_column,
                *(by_entry for _ in vectors),
                *(PartitionSpec() for _ in shared),
            ),
            out_specs=(PartitionSpec(), by_column),
            check_vma=False,
        )(matrix, *vectors, *shared)
        return total, matrix

    def index(self) -> Any:
        """Returns which part this device has, inside `map`."""
        return jax.lax.axis_index(self.axes)

    def sum(self, tensor: Any) -> Any:
        """Returns the sum over the devices, inside `map`."""
        return jax.lax.psum(tensor, self.axes)


def device_shards(columns: Any) -> DeviceShards | None:
    """Returns how Keras' `ModelParallel` spreads columns, if it does.

    An array that is on other devices than those of the mesh stays there.
    """
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, keras.distribution.ModelParallel):
        return None
    mesh = distribution.device_mesh.backend_mesh
    is_traced = isinstance(columns, jax.core.Tracer)
    if not is_traced and columns.devices() != set(mesh.devices.flat):
        return None
    axes = tuple(
        name
        for name in mesh.axis_names
        if name != distribution.batch_dim_name and mesh.shape[name] > 1
    )
    count = prod(mesh.shape[name] for name in axes)
    if count == 1 or columns.shape[1] % count:
        return None
    return DeviceShards(mesh, axes, count)

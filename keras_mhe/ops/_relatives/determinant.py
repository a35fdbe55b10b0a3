"""Determinant of the neurons' Gram matrix of a Gaussian kernel."""

import math
from collections.abc import Callable

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_boolean, check_real
from keras_mhe.ops._pairs.groups import (
    cosine_tables,
    grouped_units,
    have_direction,
)


def gram_log_determinant(
    weights: Tensor,
    *,
    precision: float = 1.0,
    epsilon: float = 1e-6,
    half_space: bool = False,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
) -> Tensor:
    r"""Logarithm of the volume that the neurons span, for each of them.

        1/N log det K,   K_ij = exp(-t |u_i - u_j|**2) + epsilon [i = j]

    with `t = precision`, mean over the groups. High means well spread: about 0
    if `t` times the squared distances is large, near `log(epsilon)` for many
    equal neurons. In half space `K` is that of the `2N` vectors `u_i` and
    `-u_i`.

    Args:
        weights: As in `hyperspherical_energy`.
        precision: Real number > 0, the `t`. Defaults to `1.0`.
        epsilon: Real number > 0, added to the diagonal, and so to each
            eigenvalue. Defaults to `1e-6`.
        half_space: Bool. Whether the opposites count too. Defaults to
            `False`.
        neuron_axis: As in `hyperspherical_energy`. Defaults to `-1`.
        groups: As in `hyperspherical_energy`. Defaults to `1`.

    Returns:
        Scalar float32 tensor (float64 for float64 weights). Its gradient can
        be taken once.

    Raises:
        ValueError: If an argument is outside its range, or the kernel does
            not have the axes or groups.

    Numerics:
        By a decomposition in eigenvalues, which does not fail for equal
        neurons as that of Cholesky does in float32: eigenvalues that rounding
        made negative count as 0. Half space costs two matrices of the size
        `N`, not one of `2N`.

        Neurons of zeros, and those that contain NaN or infinity, have no
        direction and are left out: a group has its own `N`, and one without
        neurons is left out of the mean. Nearly equal neurons, as
        `hyperspherical_energy` counts them, exert no force on each other.

        Cost: `N x N` entries for each group in memory, and about `20 N**3`
        operations: of 256 neurons some 20 ms on a CPU core, of 2,000 too
        much for every step.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import gram_log_determinant
        >>> far = 100.0 * np.eye(3, dtype="float32")
        >>> abs(round(float(gram_log_determinant(far, precision=20.0)), 4))
        0.0

    References:
        Liu et al., "Learning with Hyperspherical Uniformity", AISTATS 2021,
        arXiv:2103.01649 (MGD). Differs: divided by the number
        of neurons; directions, so that short neurons count as long ones.
    """
    precision = check_real("precision", precision, above=0)
    epsilon = check_real("epsilon", epsilon, above=0)
    half_space = check_boolean("half_space", half_space)
    units = grouped_units(weights, neuron_axis, groups)

    def forward(
        units: Tensor,
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        counts = ops.cast(have_direction(units), units.dtype)
        meet = counts[:, :, None] * counts[:, None, :]
        table = cosine_tables(units)
        # What is left out is far from all, and adds log(1 + epsilon).
        near = meet * ops.exp(2.0 * precision * (table - 1.0))
        near = _backend.set_diagonal(near, 1.0)
        if half_space:
            far = meet * ops.exp(-2.0 * precision * (table + 1.0))
            # The eigenvalues of [[A, B], [B, A]] are those of A + B and A - B.
            even, by_even = _log_determinant(near + far, epsilon)
            odd, by_odd = _log_determinant(near - far, epsilon)
            total = 0.5 * (even + odd)
            slopes = near * (by_even + by_odd) - far * (by_even - by_odd)
            slopes = 0.5 * slopes
            closest = ops.abs(table)
        else:
            total, inverse = _log_determinant(near, epsilon)
            slopes, closest = near * inverse, table
        number = ops.sum(counts, axis=-1)
        total = total - math.log1p(epsilon) * (table.shape[-1] - number)
        has_any = number > 0.0
        share = 1.0 / _backend.at_least(number, 1.0)
        share = share / _backend.at_least(
            ops.sum(ops.cast(has_any, units.dtype)), 1.0
        )
        # A direction from one to the other does not exist for equal neurons.
        dtype = _numerics.computation_dtype(units)
        floor = _numerics.resolution(dtype, units.shape[1])
        slopes = ops.where(2.0 - 2.0 * closest > floor, slopes, 0.0)
        # Each cosine stands twice in the table. The diagonal takes away what
        # the gradient of a neuron has along it.
        slopes = 4.0 * precision * share[:, None, None] * meet * slopes
        slopes = _backend.set_diagonal(slopes, 0.0)
        along = -ops.sum(table * slopes, axis=-1)
        gradient = _backend.matmul(units, _backend.set_diagonal(slopes, along))

        def pull_back(upstream: Tensor) -> Tensor:
            return upstream * gradient

        return ops.sum(share * total), pull_back

    return _backend.with_gradient(forward, units)


def _log_determinant(table: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Returns `log det (table + epsilon I)` and the inverse."""
    values, vectors = ops.eigh(table)
    values = _backend.at_least(values, 0.0) + epsilon
    scaled = vectors / values[..., None, :]
    inverse = _backend.matmul(scaled, vectors, transpose_second=True)
    return ops.sum(ops.log(values), axis=-1), inverse

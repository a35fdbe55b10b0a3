"""What the library is compared with, in Keras ops."""

from typing import Any

from keras import ops


def textbook_energy(
    weights: Any,
    *,
    power: float,
    distance: str,
    half_space: bool,
    by_hand: bool = False,
) -> Any:
    """The energy as the formula reads, to be differentiated automatically.

    All `N x N` cosines at once, in half space those of the `2N` vectors.

    Args:
        weights: Shape `(dim, N)`.
        power: As in `hyperspherical_energy`.
        distance: As in `hyperspherical_energy`.
        half_space: As in `hyperspherical_energy`.
        by_hand: Whether `r**-2` is written as `1 / (2 - 2c)`, which saves a
            root and a power. For the Euclidean distance and power 2 only.
    """
    units = weights / ops.sqrt(ops.sum(ops.square(weights), axis=0))
    if half_space:
        units = ops.concatenate([units, -units], axis=1)
    num_vectors = units.shape[1]
    cosines = ops.matmul(ops.transpose(units), units)
    is_self = ops.eye(num_vectors, dtype="bool")
    cosines = ops.where(is_self, 0.0, cosines)
    if by_hand:
        values = 1.0 / ops.maximum(2.0 - 2.0 * cosines, 1e-6)
    else:
        if distance == "euclidean":
            distances = ops.sqrt(ops.maximum(2.0 - 2.0 * cosines, 1e-6))
        else:
            distances = ops.arccos(ops.clip(cosines, -1 + 1e-6, 1 - 1e-6))
        if power == 0:
            values = -ops.log(distances)
        else:
            values = ops.power(distances, -float(power))
    values = ops.where(is_self, 0.0, values)
    return ops.sum(values) / (num_vectors * (num_vectors - 1))


def two_products(*kernels: Any) -> list[Any]:
    """The two matrix products of each kernel, after one entry to wait for."""
    results = []
    for kernel in kernels:
        columns = ops.reshape(kernel, (-1, kernel.shape[-1]))
        gram = ops.matmul(ops.transpose(columns), columns)
        results.append(ops.matmul(columns, gram))
    return [results[-1][0, 0], *results]

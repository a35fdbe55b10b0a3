"""Projections of neurons to few dimensions, for the compressive energy."""

import functools

import numpy as np
from keras import ops

from keras_mhe import _backend
from keras_mhe._typing import Tensor
from keras_mhe.ops._energy.energy_and_gradient import energy_and_slopes
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.neurons import Directions, tangent

#: How a projection is chosen.
KINDS = ("random", "angle_preserving", "adversarial")


@functools.lru_cache(maxsize=16)
def drawn_projections(
    seed: int, draw: int, count: int, dim: int, source_dim: int
) -> np.ndarray:
    """Returns Gaussian projections, the same for the same arguments.

    Args:
        seed: Int >= 0.
        draw: Int >= 0, raised when projections are drawn anew.
        count: Number of projections.
        dim: Dimension to which they go.
        source_dim: Dimension from which they come.

    Returns:
        Float32 array of shape `(count, dim, source_dim)`, read-only.
    """
    generator = np.random.default_rng((seed, draw, source_dim, 1))
    drawn = generator.standard_normal((count, dim, source_dim), "float32")
    drawn.setflags(write=False)
    return drawn


def improved_projections(
    projections: Tensor,
    units: Tensor,
    kind: str,
    form: EnergyForm,
    steps: int,
    rate: float,
) -> Tensor:
    """Moves projections towards what `kind` asks of them.

    Args:
        projections: Shape `(count, dim, source_dim)`.
        units: Directions of the neurons, shape `(source_dim, num_neurons)`.
        kind: `"angle_preserving"` lowers the mean squared change of the
            cosines; `"adversarial"` raises the energy.
        form: The energy of the projected neurons.
        steps: Number of steps.
        rate: Length of a step as a share of the projection's norm.

    Returns:
        Projections of the same shape, constants for the gradient.
    """
    projections = ops.stop_gradient(projections)
    units = ops.stop_gradient(units)
    cosines = None
    if kind == "angle_preserving":
        cosines = _backend.matmul(units, units, transpose_first=True)
    moved = []
    for index in range(projections.shape[0]):
        projection = projections[index]
        for _ in range(steps):
            slope = _slope(projection, units, cosines, form)
            size = ops.sqrt(ops.sum(projection * projection))
            norm = ops.sqrt(ops.sum(slope * slope))
            has_slope = norm > 1e-12 * size
            factor = ops.where(
                has_slope, rate * size / ops.where(has_slope, norm, size), 0.0
            )
            projection = projection + factor * slope
        moved.append(projection)
    return ops.stop_gradient(ops.stack(moved))


def _slope(
    projection: Tensor, units: Tensor, cosines: Tensor | None, form: EnergyForm
) -> Tensor:
    """Returns a gradient by the projection, in the direction to go.

    Towards the cosines, or without them up the energy.
    """
    projected = _backend.matmul(projection, units)
    directions = Directions.of(projected, 0.0)
    if cosines is None:
        _, by_direction, _ = energy_and_slopes(projected, form)
    else:
        change = (
            _backend.matmul(
                directions.vectors, directions.vectors, transpose_first=True
            )
            - cosines
        )
        if form.groups > 1:
            change = change * _same_group(units.shape[1], form.groups)
        by_direction = -tangent(
            directions.vectors, _backend.matmul(directions.vectors, change)
        )
    by_column = by_direction * directions.inverse_norms
    return _backend.matmul(by_column, units, transpose_second=True)


def _same_group(num_neurons: int, groups: int) -> Tensor:
    """Table of 1 for neurons of one group and 0 for others."""
    block = np.ones((num_neurons // groups,) * 2, "float32")
    return ops.convert_to_tensor(
        np.kron(np.eye(groups, dtype="float32"), block)
    )

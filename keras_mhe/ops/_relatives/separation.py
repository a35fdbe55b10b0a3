"""Hyperspherical separation: distances to the nearest neuron."""

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_boolean
from keras_mhe.ops._pairs.groups import (
    cosine_tables,
    grouped_units,
    have_direction,
    masked_mean,
)

#: A cosine below, and a squared distance above that of every pair.
_NO_NEIGHBOR, _FARTHEST = -2.0, 5.0


def separation(
    weights: Tensor,
    *,
    per_neuron: bool = True,
    half_space: bool = False,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
) -> Tensor:
    """Squared distance of the nearest directions; high means well spread.

    Args:
        weights: As in `hyperspherical_energy`.
        per_neuron: Bool. Whether to take the mean over the neurons of the
            squared distance to the nearest other one, so that each neuron
            has a gradient. If not, the smallest squared distance of any two
            in a group, as published: then two neurons have a gradient.
            Defaults to `True`.
        half_space: Bool. Whether the opposites of other neurons are neighbors
            too. Defaults to `False`.
        neuron_axis: As in `hyperspherical_energy`. Defaults to `-1`.
        groups: As in `hyperspherical_energy`. Defaults to `1`.

    Returns:
        Scalar float32 tensor (float64 for float64 weights), from 0 to 4, in
        half space to 2; at most `2N / (N - 1)` for `N > 1` neurons in a
        group. Mean over the groups in which neurons meet; 0 if none do.

    Raises:
        ValueError: If an argument is outside its range, or the kernel does
            not have the axes or groups.

    Numerics:
        Neurons of zeros, and those that contain NaN or infinity, have no
        direction. They are left out and get no gradient. Nearly equal
        neurons, as `hyperspherical_energy` counts them, have the distance 0
        and no gradient. Where several neighbors are nearest, they share the
        gradient.

        Cost: a table of `N x N` cosines for each group in memory, and three
        products of `N x dim` by `dim x N` matrices in time.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import separation
        >>> float(separation(np.eye(3, dtype="float32")))
        2.0

    References:
        Liu et al., "Learning with Hyperspherical Uniformity", AISTATS 2021,
        arXiv:2103.01649 (MHS). Differs: the mean over neurons;
        directions, so that short neurons count as long ones.
    """
    per_neuron = check_boolean("per_neuron", per_neuron)
    half_space = check_boolean("half_space", half_space)
    units = grouped_units(weights, neuron_axis, groups)
    cosines = cosine_tables(units)
    if half_space:
        cosines = ops.abs(cosines)
    counts = ops.cast(have_direction(units), units.dtype)
    meet = counts[:, :, None] * counts[:, None, :]
    meet = _backend.set_diagonal(meet, 0.0) > 0.0
    has_neighbor = ops.any(meet, axis=-1)
    nearest = ops.max(ops.where(meet, cosines, _NO_NEIGHBOR), axis=-1)
    squared = 2.0 - 2.0 * nearest
    dtype = _numerics.computation_dtype(units)
    floor = _numerics.resolution(dtype, units.shape[1])
    squared = ops.where(squared > floor, squared, 0.0)
    if per_neuron:
        by_group = masked_mean(squared, has_neighbor, axis=-1)
    else:
        by_group = ops.min(ops.where(has_neighbor, squared, _FARTHEST), axis=-1)
    return masked_mean(by_group, ops.any(has_neighbor, axis=-1))

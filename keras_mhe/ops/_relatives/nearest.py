"""Relatives of the energy that look at each neuron's nearest one."""

import math

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_boolean
from keras_mhe.ops._pairs.groups import masked_mean
from keras_mhe.ops._pairs.nearest import nearest_squared

#: Above the squared distance of every pair.
_FARTHEST = 5.0


def separation(
    weights: Tensor,
    *,
    per_neuron: bool = True,
    half_space: bool = False,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
    block_size: int | str = "auto",
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
        block_size: As in `hyperspherical_energy`. Defaults to `"auto"`.

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
        and no gradient. Where several neighbors are equally near, one of
        them counts. The gradient can be taken once.

        Cost: one product of `N x dim` by `dim x N` matrices in time; memory
        for a few copies of `weights` and one tile, as
        `hyperspherical_energy`.

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
    squared, has_neighbor = nearest_squared(
        weights,
        half_space=half_space,
        neuron_axis=neuron_axis,
        groups=groups,
        block_size=block_size,
    )
    if per_neuron:
        return _mean(squared, has_neighbor)
    smallest = ops.min(ops.where(has_neighbor, squared, _FARTHEST), axis=-1)
    return masked_mean(smallest, ops.any(has_neighbor, axis=-1))


def minimal_angles(
    weights: Tensor,
    *,
    half_space: bool = False,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
    block_size: int | str = "auto",
) -> Tensor:
    """Mean angle of each neuron to its nearest one; high is well spread.

        1/N sum_i min over j != i of arccos(u_i . u_j)

    and in half space of the angles between lines, `arccos |u_i . u_j|`.

    Args:
        weights: As in `hyperspherical_energy`.
        half_space: Bool. Whether the opposites of other neurons are neighbors
            too. Defaults to `False`.
        neuron_axis: As in `hyperspherical_energy`. Defaults to `-1`.
        groups: As in `hyperspherical_energy`. Defaults to `1`.
        block_size: As in `hyperspherical_energy`. Defaults to `"auto"`.

    Returns:
        Scalar float32 tensor (float64 for float64 weights) in radians, from 0
        to pi, in half space to pi / 2. Mean over the groups in which neurons
        meet; 0 if none do.

    Raises:
        ValueError: As `separation`.

    Numerics:
        Each angle has all its digits, from the distance of the two neurons.
        Nearly equal neurons have the angle 0, nearly opposite ones pi, and
        neither a gradient. The rest, and the cost, as in `separation`.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import minimal_angles
        >>> angle = float(minimal_angles(np.eye(3, dtype="float32")))
        >>> round(float(np.degrees(angle)), 3)
        90.0

    References:
        Wang et al., "MMA Regularization: Decorrelating Weights of Neural
        Networks by Maximizing the Minimal Angles", NeurIPS 2020,
        arXiv:2006.06527. Differs: their program cuts cosines at 0.99999, so
        neurons nearer than 0.26 degrees have no gradient, here those nearer
        than 0.08 degrees; it counts neurons of zeros as orthogonal to all.
        Half space and groups are ours.
    """
    squared, has_neighbor = nearest_squared(
        weights,
        half_space=half_space,
        neuron_axis=neuron_axis,
        groups=groups,
        block_size=block_size,
    )
    farthest = 4.0 - _equal(squared)
    has_slope = ops.logical_and(squared > 0.0, squared < farthest)
    inner = ops.where(has_slope, squared, 2.0)
    angles = 2.0 * _backend.arctan2(ops.sqrt(inner), ops.sqrt(4.0 - inner))
    ends = ops.where(squared > 0.0, math.pi, ops.zeros_like(squared))
    return _mean(ops.where(has_slope, angles, ends), has_neighbor)


def koleo(
    weights: Tensor,
    *,
    half_space: bool = False,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
    block_size: int | str = "auto",
) -> Tensor:
    """Minus the mean log distance to the nearest one; low is well spread.

        -1/N sum_i log min over j != i of |u_i - u_j|

    which estimates, up to constants, minus the differential entropy of the
    directions (Kozachenko and Leonenko).

    Args:
        weights: As in `hyperspherical_energy`. For the rows of a batch of
            features `neuron_axis=0`.
        half_space: Bool. Whether the opposites of other neurons are neighbors
            too. Defaults to `False`.
        neuron_axis: As in `hyperspherical_energy`. Defaults to `-1`.
        groups: As in `hyperspherical_energy`. Defaults to `1`.
        block_size: As in `hyperspherical_energy`. Defaults to `"auto"`.

    Returns:
        Scalar float32 tensor (float64 for float64 weights), at least
        `-log(2)`, at most 6.6 (in float64 16.7). Mean over the groups in
        which neurons meet; 0 if none do.

    Raises:
        ValueError: As `separation`.

    Numerics:
        Nearly equal neurons have the distance `hyperspherical_energy` gives
        them, 1.4e-3 (6e-8 in float64), and no gradient, so values and
        gradients are finite. The rest, and the cost, as in `separation`.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import koleo
        >>> opposite = np.array([[1.0, -1.0], [0.0, 0.0]], "float32")
        >>> round(float(koleo(opposite)), 4)
        -0.6931

    References:
        Sablayrolles et al., "Spreading vectors for similarity search", ICLR
        2019, arXiv:1806.03198. Differs: their program adds the constant
        `-log(N)`. Oquab et al., "DINOv2", arXiv:2304.07193, take the same
        value; their program adds 1e-8 to each entry of the difference and to
        the distance, and so has gradients where here neurons are nearly
        equal.
    """
    squared, has_neighbor = nearest_squared(
        weights,
        half_space=half_space,
        neuron_axis=neuron_axis,
        groups=groups,
        block_size=block_size,
    )
    apart = ops.where(squared > 0.0, squared, _equal(squared))
    return _mean(-0.5 * ops.log(apart), has_neighbor)


def _equal(squared: Tensor) -> float:
    """Squared distance that equal neurons count as."""
    return _numerics.equal_distance(_numerics.computation_dtype(squared))


def _mean(values: Tensor, has_neighbor: Tensor) -> Tensor:
    """Mean over the neurons of a group, and then over the groups."""
    by_group = masked_mean(values, has_neighbor, axis=-1)
    return masked_mean(by_group, ops.any(has_neighbor, axis=-1))

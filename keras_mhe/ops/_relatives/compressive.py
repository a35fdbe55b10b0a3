"""Hyperspherical energy of projected neurons."""

import dataclasses

from keras import ops

from keras_mhe import _backend
from keras_mhe._typing import Tensor
from keras_mhe._validation import (
    check_choice,
    check_groups,
    check_integer,
    check_real,
)
from keras_mhe.ops._energy.gap import measure_of
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.neurons import (
    float_tensor,
    neuron_columns,
    unit_columns,
)
from keras_mhe.ops._relatives.projections import (
    KINDS,
    drawn_projections,
    improved_projections,
)


def compressive_energy(
    weights: Tensor,
    *,
    projection: str = "random",
    dim: int = 30,
    num_projections: int = 20,
    steps: int = 1,
    rate: float = 0.1,
    seed: int = 0,
    draw: int = 0,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = True,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
    block_size: int | str = "auto",
    units: str = "energy",
) -> Tensor:
    """Mean hyperspherical energy of the neurons `P w` for projections `P`.

    In few dimensions there is less room, so the energy is steeper and has
    fewer flat places. Projections are Gaussian matrices of shape `(dim,
    entries of a neuron)`, drawn from a seed.

    Args:
        weights: As in `hyperspherical_energy`.
        projection: `"random"`; `"angle_preserving"`, moved `steps` steps
            towards keeping the cosines of these neurons; or `"adversarial"`,
            moved `steps` steps up the energy. Moved projections are constants
            for the gradient. Defaults to `"random"`.
        dim: Int >= 2, dimension of the projected neurons. Neurons with as
            many entries or fewer are not projected. Defaults to `30`.
        num_projections: Int >= 1, projections over which the mean runs.
            Defaults to `20`.
        steps: Int >= 0, steps of projections that are not random. Defaults to
            `1`.
        rate: Real number > 0, length of a step as a share of the norm of the
            projection. Defaults to `0.1`.
        seed: Int >= 0 of the projections. Defaults to `0`.
        draw: Int >= 0, raised for new projections of the same seed. Defaults
            to `0`.
        power: As in `hyperspherical_energy`. Defaults to `2`.
        distance: As in `hyperspherical_energy`. Defaults to `"euclidean"`.
        half_space: As in `hyperspherical_energy`. Defaults to `True`.
        neuron_axis: As in `hyperspherical_energy`. Defaults to `-1`.
        groups: As in `hyperspherical_energy`. Defaults to `1`.
        block_size: As in `hyperspherical_energy`. Defaults to `"auto"`.
        units: `"energy"`, or `"gap"`, the `hyperspherical_gap` of the
            projected neurons: 0 at the proven minimum in `dim` dimensions, 1
            for random directions there. Random projections make random
            directions of orthogonal neurons, so a gap below 1 is a fit to
            these projections. That of random neurons is 1 only where `dim` is
            far below their number of entries, and larger otherwise. Defaults
            to `"energy"`.

    Returns:
        Scalar float32 tensor (float64 for float64 weights). Its gradient can
        be taken once.

    Raises:
        ValueError: If an argument is outside its range, or the kernel does
            not have the axes or groups; for gaps as `hyperspherical_gap`.

    Numerics:
        Degenerate neurons as in `hyperspherical_energy`.

        Cost: `num_projections` energies in `dim` dimensions, and as many
        products of `dim x entries` by `entries x N`. Moved projections cost
        about three times as much with one step, and the angle-preserving
        ones some tables of `N x N` cosines in memory.

    Example:
        >>> import numpy as np
        >>> import keras_mhe
        >>> kernel = np.random.default_rng(0).normal(size=(100, 8))
        >>> full = keras_mhe.ops.hyperspherical_energy(kernel, half_space=True)
        >>> few = keras_mhe.ops.compressive_energy(kernel, dim=10)
        >>> bool(few > full)
        True

    References:
        Lin et al., "Regularizing Neural Networks via Minimizing Hyperspherical
        Energy", CVPR 2020, arXiv:1906.04892. Differs:
        their program draws random projections anew in each step (30 or 40
        dimensions, 20 projections), and keeps learned ones, one for each
        layer, as variables that move one plain gradient step with each
        step of the training, the adversarial ones up the energy in full
        space, and the gradient goes through that step; here projections are
        a function of seed, draw and weights.
    """
    form = EnergyForm(
        power,
        distance,
        half_space,
        neuron_axis,
        groups,
        block_size,
        units=units,
    )
    kind = check_choice("projection", projection, KINDS)
    dim = check_integer("dim", dim, at_least=2)
    count = check_integer("num_projections", num_projections, at_least=1)
    steps = check_integer("steps", steps, at_least=0)
    rate = check_real("rate", rate, above=0)
    seed = check_integer("seed", seed, at_least=0)
    draw = check_integer("draw", draw, at_least=0)
    columns = neuron_columns(float_tensor(weights), form.neuron_axis)
    entries, num_neurons = columns.shape
    check_groups(form.groups, num_neurons)
    if entries <= dim:
        count = 1
    else:
        # Directions first, so that norms of any size have projections.
        columns = unit_columns(columns)
        drawn = _backend.constant(
            drawn_projections, seed, draw, count, dim, entries
        )
        projections = ops.convert_to_tensor(drawn, dtype=columns.dtype)
        if kind != "random":
            projections = improved_projections(
                projections, columns, kind, form, steps, rate
            )
        projected = _backend.matmul(
            ops.reshape(projections, (count * dim, entries)), columns
        )
        # One column for each projection and neuron, projection by projection.
        projected = ops.reshape(projected, (count, dim, num_neurons))
        projected = ops.transpose(projected, (1, 0, 2))
        columns = ops.reshape(projected, (dim, count * num_neurons))
    inner = dataclasses.replace(
        form, neuron_axis=-1, groups=count * form.groups
    )
    return measure_of(columns, inner)

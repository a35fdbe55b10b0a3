"""The largest holes between neurons: polarization and covering."""

from keras import ops

from keras_mhe import _validation
from keras_mhe._typing import Tensor
from keras_mhe.functional._gaussian import GaussianPotential
from keras_mhe.functional._groups import grouped_units, mean
from keras_mhe.functional._hole_search import PairEnergy, lowest_energy
from keras_mhe.functional._potentials import Potential


def polarization(
    weights: Tensor,
    *,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
    starts: int = 16,
    steps: int = 20,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
) -> Tensor:
    """Mean potential of the neurons where it is lowest; high is well spread.

        min over v of 1/N sum_i f(v, u_i)

    with the potential of `hyperspherical_energy`, mean over the groups: the
    neurons leave no direction `v` without potential.

    Args:
        weights: As in `hyperspherical_energy`.
        power: As in `hyperspherical_energy`. Defaults to `2`.
        distance: As in `hyperspherical_energy`. Defaults to `"euclidean"`.
        half_space: Bool. Whether the opposites of the neurons count too.
            Defaults to `False`.
        starts: Int >= 1, directions from which `v` is searched. Defaults to
            `16`.
        steps: Int >= 0, steps of each search. Defaults to `20`.
        neuron_axis: As in `hyperspherical_energy`. Defaults to `-1`.
        groups: As in `hyperspherical_energy`. Defaults to `1`.

    Returns:
        Scalar float32 tensor (float64 for float64 weights): an upper bound of
        the minimum, exact where one of the searches finds it.

    Raises:
        ValueError: If an argument is outside its range, or the kernel does
            not have the axes or groups.

    Numerics:
        The searches start at the same directions in each call, drawn once for
        a dimension, and turn downhill by angles that shrink from 0.5 to 0.01
        radians; the best direction of all steps counts. The gradient is that
        at the direction that was found, which by the envelope theorem is that
        of the minimum. Zero and equal neurons as in `hyperspherical_energy`.

        Where several directions are lowest, it is the mean of theirs.

        Cost: `2 (steps + 2)` products of `starts x dim` by `dim x N`.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.functional import polarization
        >>> both = np.array([[1.0, -1.0], [0.0, 0.0]], "float32")
        >>> round(float(polarization(both)), 3)
        0.5

    References:
        Liu et al., "Learning with Hyperspherical Uniformity", AISTATS 2021,
        arXiv:2103.01649 (MHP). Differs: their `v` is a variable
        of the model, one for each layer, which a second optimizer moves
        between the steps; here it is found anew, so the term is a function of
        the weights alone; directions, so that short neurons count as long.
    """
    potential = Potential(power=power, distance=distance)
    half_space = _validation.boolean("half_space", half_space)
    units = grouped_units(weights, neuron_axis, groups)
    pair = _pair_energy(potential, half_space)
    return mean(lowest_energy(units, pair, starts, steps))


def covering(
    weights: Tensor,
    *,
    precision: float = 10.0,
    half_space: bool = False,
    starts: int = 16,
    steps: int = 20,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
) -> Tensor:
    """Squared distance of the loneliest direction; low is well spread.

        max over v of soft min over i of |v - u_i|**2,
        soft min = -1/t log mean_i exp(-t |v - u_i|**2),   t = precision

    mean over the groups. The soft minimum is at least the minimum, and at most
    `log(N) / t` above it, in half space `log(2N) / t`.

    Args:
        weights: As in `hyperspherical_energy`.
        precision: Real number in (0, 20], the `t`. Defaults to `10.0`.
        half_space: Bool. Whether the opposites of the neurons count too.
            Defaults to `False`.
        starts: As in `polarization`. Defaults to `16`.
        steps: As in `polarization`. Defaults to `20`.
        neuron_axis: As in `hyperspherical_energy`. Defaults to `-1`.
        groups: As in `hyperspherical_energy`. Defaults to `1`.

    Returns:
        Scalar float32 tensor (float64 for float64 weights), from 0 to 4: a
        lower bound of the maximum, exact where one of the searches finds it.

    Raises:
        ValueError: If an argument is outside its range, or the kernel does
            not have the axes or groups.

    Numerics:
        As in `polarization`.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.functional import covering
        >>> both = np.array([[1.0, -1.0], [0.0, 0.0]], "float32")
        >>> round(float(covering(both)), 3)
        2.0

    References:
        Liu et al., "Learning with Hyperspherical Uniformity", AISTATS 2021,
        arXiv:2103.01649 (MHC); the soft minimum and its `t` are
        those of their program. Differs: as `polarization`.
    """
    precision = _validation.precision(precision)
    half_space = _validation.boolean("half_space", half_space)
    units = grouped_units(weights, neuron_axis, groups)
    pair = _pair_energy(GaussianPotential(precision), half_space)
    lowest = lowest_energy(units, pair, starts, steps)
    return mean(-ops.log(lowest) / precision)


def _pair_energy(
    potential: Potential | GaussianPotential, half_space: bool
) -> PairEnergy:
    """Value and slope of a neuron, or mean of it and its opposite."""
    if not half_space:
        return potential.value_and_slope

    def of_line(cosine: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = potential.value_and_slope_of_lines(cosine)
        return 0.5 * value, 0.5 * slope

    return of_line

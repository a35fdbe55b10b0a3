"""The Gaussian potential, and the uniformity that is its logarithm."""

import math
from dataclasses import dataclass
from typing import ClassVar

from keras import ops

from keras_mhe._typing import Tensor
from keras_mhe._validation import check_choice, check_real
from keras_mhe.ops._energy.energy import energy_of
from keras_mhe.ops._energy.gap import levels_of_living, living_neurons
from keras_mhe.ops._pairs.form import UNITS, EnergyForm
from keras_mhe.ops._pairs.neurons import float_tensor, neuron_columns


@dataclass(frozen=True)
class GaussianPotential:
    """Energy `f(c) = exp(-t r**2)` of two unit vectors, `r**2 = 2 - 2c`.

    Has the methods of `Potential`, so it goes where that goes.

    Attributes:
        precision: The `t`, a float in (0, 20].
    """

    precision: float
    distance: ClassVar[str] = "euclidean"

    def __post_init__(self) -> None:
        # float32 holds `exp(-4 * 20)`, the potential of opposite vectors.
        checked = check_real("precision", self.precision, above=0, at_most=20)
        object.__setattr__(self, "precision", checked)

    def value(self, cosine: float) -> float:
        """Returns `f(cosine)` for one number."""
        return math.exp(2.0 * self.precision * (cosine - 1.0))

    def mean(self, dim: int) -> float:
        """Returns the mean over pairs of random directions.

        `exp(-2t)` times the series of `0F1(d/2, t**2)`, all terms positive.
        """
        term, total, order = 1.0, 0.0, 0
        while term > 1e-17 * total:
            total += term
            order += 1
            term *= self.precision**2 / (order * (dim / 2.0 + order - 1.0))
        return math.exp(-2.0 * self.precision) * total

    def value_and_slope(
        self, cosine: Tensor, floor: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns `f(c)` and `df/dc`, elementwise."""
        value = self._of(cosine)
        return value, 2.0 * self.precision * value

    def value_and_slope_of_lines(
        self, cosine: Tensor, floor: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns `f(c) + f(-c)` and its derivative, elementwise."""
        value, other = self._of(cosine), self._of(-cosine)
        return value + other, 2.0 * self.precision * (value - other)

    def _of(self, cosine: Tensor) -> Tensor:
        return ops.exp(2.0 * self.precision * (cosine - 1.0))


def uniformity(
    weights: Tensor,
    *,
    precision: float = 2.0,
    half_space: bool = False,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
    block_size: int | str = "auto",
    units: str = "energy",
) -> Tensor:
    """Logarithm of the mean Gaussian potential of all pairs of directions.

        log mean over i < j of exp(-t |u_i - u_j|**2),   t = precision

    Low means well spread. In half space the mean is over the neurons and
    their opposites, as in `hyperspherical_energy`.

    Args:
        weights: As in `hyperspherical_energy`. For the rows of a batch of
            features `neuron_axis=0`.
        precision: Real number in (0, 20], the `t`. Defaults to `2.0`.
        half_space: As in `hyperspherical_energy`. Defaults to `False`.
        neuron_axis: As in `hyperspherical_energy`. Defaults to `-1`.
        groups: As in `hyperspherical_energy`. Defaults to `1`.
        block_size: As in `hyperspherical_energy`. Defaults to `"auto"`.
        units: `"energy"`, the logarithm itself, or `"gap"`, its place
            between the logarithms of the proven minimum of the mean (0) and
            of its level of random directions (1), as `hyperspherical_gap` has
            it. Defaults to `"energy"`.

    Returns:
        Scalar float32 tensor (float64 for float64 weights), from `-4 t` to 0;
        0 if no neurons meet. Its gradient can be taken once.

    Raises:
        ValueError: As `hyperspherical_energy`, for a `precision` that is
            outside its range, and for gaps of neurons of one entry, which are
            all the same line.

    Numerics:
        Zero neurons, memory, tiles and devices as in `hyperspherical_energy`,
        whose cost it has. Equal neurons exert no force, and no force is large.

        The gap is right to some `3e-7 * dim / t**2`, which is 2e-3 at 25,088
        entries. Its levels are those of as many neurons as live.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import uniformity
        >>> opposite = np.array([[1.0, -1.0], [0.0, 0.0]], "float32")
        >>> float(uniformity(opposite))
        -8.0

    References:
        Wang and Isola, "Understanding Contrastive Representation Learning
        through Alignment and Uniformity on the Hypersphere", ICML 2020,
        arXiv:2005.10242, with their `t = 2`. The mean is over distinct
        pairs, as in their program.
    """
    # Its power and distance are those of no potential that is asked for.
    form = EnergyForm(
        half_space=half_space,
        neuron_axis=neuron_axis,
        groups=groups,
        block_size=block_size,
    )
    potential = GaussianPotential(precision)
    check_choice("units", units, UNITS)
    mean = energy_of(weights, form, potential=potential)
    # Zero only where there is no pair.
    logarithm = ops.log(ops.where(mean > 0.0, mean, 1.0))
    if units == "energy":
        return logarithm
    columns = neuron_columns(
        ops.stop_gradient(float_tensor(weights)), form.neuron_axis
    )
    dim, _ = ops.shape(columns)
    if dim == 1:
        raise ValueError(
            "A gap needs neurons of two entries or more. Use "
            '`units="energy"`. Received: neurons of one entry.'
        )
    lowest, excess = levels_of_living(
        form,
        living_neurons(columns, form),
        dim,
        potential,
        potential.mean(dim),
    )
    lowest = ops.where(mean > 0.0, lowest, 1.0)
    return (logarithm - ops.log(lowest)) / ops.log1p(excess / lowest)

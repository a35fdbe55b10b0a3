"""What an audit tells of the neurons of one kernel."""

import math
from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_mhe import _numerics
from keras_mhe._neurons.kernel import NeuronKernel
from keras_mhe._typing import Tensor
from keras_mhe.analysis._forms import plain_form, words_of
from keras_mhe.analysis._living import Living, energies_of_living
from keras_mhe.analysis._neighbors import neighbors
from keras_mhe.analysis._table import column, hidden
from keras_mhe.ops._levels.bounds import optimal_cosine
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.neurons import unit_columns

#: Degrees between neurons that count as the same.
DUPLICATE_ANGLE = 0.1
#: Share of the layer's median length below which a neuron counts as dead.
DEAD_LENGTH = 1e-3
#: Words in the place of a bound.
_NOT_PROVEN = "not proven"
_FEW_LIVING = "few living"


@dataclass(frozen=True)
class KernelAudit:
    """A row of an `Audit`: the neurons of one kernel.

    Attributes:
        layer: Name, as `NeuronKernel.name`.
        num_neurons: Number of neurons that meet each other, those of one
            group, dead ones too.
        groups: Blocks of neurons that do not meet each other.
        dim: Entries of each neuron.
        form: The energy that is measured, with the attributes `power`,
            `distance` and `half_space`.
        energy: Float, `hyperspherical_energy` of the neurons that have a
            direction: those of length 0 are left out, short ones are not. In
            groups each neuron is compared with those of its group, and the
            mean runs over all these pairs. NaN, and the gap too, if a neuron is
            not finite or no two have a direction.
        gap: Float, 0 for the proven minimum of the neurons that have a
            direction and 1 for as many random directions, as `energy_gap`;
            with groups of different numbers each level is a mean over the
            pairs. NaN where no minimum is proven, random directions have no
            finite energy, or few live.
        bound: Whose energy is the minimum: `"simplex"`, `"cross-polytope"`
            or `"orthogonal"`; `"above simplex"` or `"above equiangular"`
            where the true minimum is there or higher; of groups, that of the
            one with the most living neurons. `"not proven"`; or `"few
            living"`, if some died and fewer than 3, or than a quarter of all,
            have a direction.
        min_angle: Degrees between the two nearest neurons, in half space
            between their lines. NaN if no two have a direction.
        max_min_angle: Degrees that this angle cannot exceed, however the
            neurons that have a direction are spread.
        nearest: Indices of these two neurons, counted along the axis or axes
            of the neurons; `None` as above.
        duplicates: Number of neurons with another one within 0.1 degrees.
        dead: Number of neurons, of all groups, that are zero, shorter than
            0.001 of the median length of those that are not, or not finite.
        living: Number of neurons of a group that have a direction, or are not
            finite; of the group with the most. Not in the printed table.
        random_energy: Energy that as many random directions have on average;
            may be infinite. Not in the printed table.
        angle_counts: How often an angle of which degree occurs, shape
            `(180,)`, in half space `(90,)`, each pair seen from both of its
            neurons; in groups of more than 1,024 neurons from some of them.
            Not in the printed table.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.analysis import audit_features
        >>> row = audit_features(np.eye(3))[0]
        >>> row.num_neurons, row.dim, row.min_angle
        (3, 3, 90.0)
    """

    layer: str = column()
    num_neurons: int = column()
    groups: int = column(usual=(1,))
    dim: int = column()
    form: EnergyForm = column(words_of, plain=plain_form)  # noqa: RUF009
    energy: float = column(".5f")
    gap: float = column(".3f")
    bound: str = column()
    min_angle: float = column(".2f")
    max_min_angle: float = column(".2f")
    nearest: tuple[int, int] | None = column()
    duplicates: int = column()
    dead: int = column()
    living: int = hidden()
    random_energy: float = hidden()
    angle_counts: np.ndarray = hidden(compare=False)  # noqa: RUF009

    @property
    def has_gap(self) -> bool:
        """Whether neurons of these numbers and entries can have a gap.

        They may be without one nevertheless, see `has_few_living`.
        """
        return self.bound != _NOT_PROVEN and math.isfinite(self.random_energy)

    @property
    def has_few_living(self) -> bool:
        """Whether so many neurons died that there is no gap."""
        return self.bound == _FEW_LIVING


def audit_kernel(
    kernel: NeuronKernel, form: EnergyForm, *, count_angles: bool = True
) -> KernelAudit:
    """Returns the row of one kernel.

    Args:
        kernel: The kernel.
        form: The energy.
        count_angles: Whether to fill `KernelAudit.angle_counts`.
    """
    columns = kernel.columns()
    units = unit_columns(columns)
    has_direction = ops.convert_to_numpy(ops.any(units != 0.0, axis=0))
    lengths = _lengths(columns)
    is_finite = np.isfinite(lengths)
    lives = (has_direction | ~is_finite).reshape(kernel.groups, -1)
    living = energies_of_living(columns, lives, form)
    energy, gap = living.energy, living.gap
    if not np.all(is_finite):
        energy = gap = math.nan
    found = neighbors(
        units, kernel.groups, form.half_space, count_angles=count_angles
    )
    min_angle, nearest = math.nan, None
    if not np.all(np.isnan(found.angles)):
        first = int(np.nanargmin(found.angles))
        min_angle = float(found.angles[first])
        second = int(found.nearest[first])
        nearest = (min(first, second), max(first, second))
    return KernelAudit(
        layer=kernel.name,
        num_neurons=kernel.num_neurons,
        groups=kernel.groups,
        dim=kernel.dim,
        form=form,
        energy=energy,
        gap=gap,
        bound=_words(living),
        min_angle=min_angle,
        max_min_angle=_max_min_angle(living.most, kernel.dim, form.half_space),
        nearest=nearest,
        duplicates=int(np.sum(found.angles < DUPLICATE_ANGLE)),
        dead=_num_dead(lengths, has_direction),
        living=living.most,
        random_energy=living.random_energy,
        angle_counts=found.counts,
    )


def _words(living: Living) -> str:
    if living.bound is None:
        return _NOT_PROVEN
    if living.are_few:
        return _FEW_LIVING
    above = "" if living.bound.is_attained else "above "
    return f"{above}{living.bound.arrangement}"


def _max_min_angle(num_neurons: int, dim: int, half_space: bool) -> float:
    """In full space more than `dim + 1` neurons cannot all be obtuse."""
    if num_neurons < 2:
        return math.nan
    if not half_space and num_neurons > dim + 1:
        return 90.0
    cosine = optimal_cosine(num_neurons, dim, half_space=half_space)
    return math.degrees(math.acos(cosine))


def _lengths(columns: Tensor) -> np.ndarray:
    """Lengths of columns in float64; those that are not finite stay so."""
    dtype = _numerics.computation_dtype(columns)
    array = ops.convert_to_numpy(ops.cast(columns, dtype))
    largest = np.abs(array).max(axis=0).astype("float64")
    scale = np.where((largest > 0.0) & np.isfinite(largest), largest, 1.0)
    with np.errstate(invalid="ignore"):
        lengths: np.ndarray = scale * np.linalg.norm(array / scale, axis=0)
    return lengths


def _num_dead(lengths: np.ndarray, has_direction: np.ndarray) -> int:
    shortest = 0.0
    if has_direction.any():
        shortest = DEAD_LENGTH * float(np.median(lengths[has_direction]))
    return int(np.sum(~has_direction | (lengths <= shortest)))

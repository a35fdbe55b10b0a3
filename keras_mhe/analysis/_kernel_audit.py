"""What an audit tells of the neurons of one kernel."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_mhe import _numerics
from keras_mhe._typing import Tensor
from keras_mhe.analysis._kernels import NeuronKernel
from keras_mhe.analysis._neighbors import neighbors
from keras_mhe.analysis._table import column, hidden
from keras_mhe.functional._bounds import energy_bound, optimal_cosine
from keras_mhe.functional._form import EnergyForm
from keras_mhe.functional._levels import energy_gap, random_energy

#: Degrees between neurons that count as the same.
DUPLICATE_ANGLE = 0.1
#: Share of the layer's median length below which a neuron counts as dead.
DEAD_LENGTH = 1e-3


@dataclass(frozen=True)
class KernelAudit:
    """A row of an `Audit`: the neurons of one kernel.

    Attributes:
        layer: Name, as `NeuronKernel.name`.
        neurons: Number of neurons that meet each other, those of one group.
        groups: Blocks of neurons that do not meet each other.
        dimension: Entries of each neuron.
        energy: Float, `hyperspherical_energy`; NaN, and the gap too, if a
            neuron is not finite.
        gap: Float, 0 for the proven minimum and 1 for random directions, as
            `energy_gap`. NaN where no minimum is proven or random directions
            have no finite energy.
        bound: Whose energy is the minimum: `"simplex"`, `"cross-polytope"`
            or `"orthogonal"`; `"above simplex"` or `"above equiangular"`
            where the true minimum is there or higher; `"not proven"`.
        min_angle: Degrees between the two nearest neurons, in half space
            between their lines. NaN if no two have a direction.
        max_angle: Degrees that this angle cannot exceed, however the neurons
            are spread.
        nearest: Indices of these two neurons, counted along the axis or axes
            of the neurons; `None` as above.
        duplicates: Number of neurons with another one within 0.1 degrees.
        dead: Number of neurons that are shorter than 0.001 of the layer's
            median length, zero, or not finite.
        random_energy: Energy that random directions have on average; may be
            infinite. Not in the printed table.
        angle_counts: How often an angle of which degree occurs, shape
            `(180,)`, in half space `(90,)`, each pair seen from both of its
            neurons; in groups of more than 1,024 neurons from some of them.
            Not in the printed table.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.analysis import audit_features
        >>> row = audit_features(np.eye(3))[0]
        >>> row.neurons, row.dimension, row.min_angle
        (3, 3, 90.0)
    """

    layer: str = column("layer")
    neurons: int = column("neurons")
    groups: int = column("groups", usual=(1,))
    dimension: int = column("dim")
    energy: float = column("energy", ".5f")
    gap: float = column("gap", ".3f")
    bound: str = column("bound")
    min_angle: float = column("angle", ".2f")
    max_angle: float = column("at most", ".2f")
    nearest: tuple[int, int] | None = column("nearest")
    duplicates: int = column("same")
    dead: int = column("dead")
    random_energy: float = hidden()
    angle_counts: np.ndarray = hidden(compare=False)  # noqa: RUF009

    @property
    def has_gap(self) -> bool:
        """Whether neurons of these numbers and entries can have a gap."""
        return self.bound != "not proven" and math.isfinite(self.random_energy)


def audit_kernel(
    kernel: NeuronKernel, form: EnergyForm, *, count_angles: bool = True
) -> KernelAudit:
    """Returns the row of one kernel.

    Args:
        kernel: The kernel.
        form: The energy.
        count_angles: Whether to fill `KernelAudit.angle_counts`.
    """
    which = {
        "power": form.power,
        "distance": form.distance,
        "half_space": form.half_space,
    }
    size = (kernel.num_neurons, kernel.dim)
    energy = kernel.energy(**which)  # type: ignore[arg-type]
    bound = energy_bound(*size, **which)  # type: ignore[arg-type]
    gap = energy_gap(energy, *size, **which)  # type: ignore[arg-type]
    columns = kernel.columns()
    lengths = _lengths(columns)
    if not np.all(np.isfinite(lengths)):
        energy = gap = math.nan
    found = neighbors(
        columns, kernel.groups, form.half_space, count_angles=count_angles
    )
    min_angle, nearest = math.nan, None
    if not np.all(np.isnan(found.angles)):
        first = int(np.nanargmin(found.angles))
        min_angle = float(found.angles[first])
        second = int(found.nearest[first])
        nearest = (min(first, second), max(first, second))
    return KernelAudit(
        layer=kernel.name,
        neurons=kernel.num_neurons,
        groups=kernel.groups,
        dimension=kernel.dim,
        energy=energy,
        gap=math.nan if bound is None else gap,
        bound=_words(bound),
        min_angle=min_angle,
        max_angle=_max_angle(*size, form.half_space),
        nearest=nearest,
        duplicates=int(np.sum(found.angles < DUPLICATE_ANGLE)),
        dead=_num_dead(lengths),
        random_energy=random_energy(*size, **which),  # type: ignore[arg-type]
        angle_counts=found.counts,
    )


def _words(bound: Any) -> str:
    if bound is None:
        return "not proven"
    return f"{'' if bound.is_attained else 'above '}{bound.arrangement}"


def _max_angle(num_neurons: int, dim: int, half_space: bool) -> float:
    """In full space more than `dim + 1` neurons cannot all be obtuse."""
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


def _num_dead(lengths: np.ndarray) -> int:
    is_finite = np.isfinite(lengths)
    if not is_finite.any():
        return len(lengths)
    shortest = DEAD_LENGTH * float(np.median(lengths[is_finite]))
    is_dead = ~is_finite | (lengths <= shortest)
    return int(np.sum(is_dead))

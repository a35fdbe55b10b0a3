"""How diverse the neurons of every layer of a model are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_mhe._typing import KerasObject, Tensor
from keras_mhe.analysis._kernels import NeuronKernel, neuron_kernels
from keras_mhe.analysis._layers import chosen_names
from keras_mhe.analysis._neighbors import neighbors
from keras_mhe.analysis._table import Table, column, hidden
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
        angle_counts: How many pairs have an angle of which degree, shape
            `(180,)`, in half space `(90,)`; in large layers of a part of the
            pairs. Not in the printed table.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.analysis import audit_features
        >>> row = audit_features(np.eye(3))[0]
        >>> row.neurons, row.dimension, row.min_angle
        (3, 3, 90.0)
    """

    layer: str = column("layer")
    neurons: int = column("neurons")
    groups: int = column("groups", usual=1)
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


class Audit(Table[KernelAudit]):
    """The rows of an audit, and which energy they tell.

    A sequence of `KernelAudit`; prints as a table, also in notebooks.

    Args:
        rows: Sequence of `KernelAudit`.
        form: The energy.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.analysis import audit_features
        >>> found = audit_features(np.eye(3), name="axes")
        >>> len(found), found.to_dict()["rows"][0]["bound"]
        (1, 'simplex')
    """

    row_class = KernelAudit

    def __init__(self, rows: Sequence[KernelAudit], form: EnergyForm) -> None:
        super().__init__(rows)
        self.form = form

    def to_dict(self) -> dict[str, Any]:
        """Returns power, distance, half space and the rows, ready for JSON.

        NaN and infinity, for which JSON has no words, are `None`.
        """
        return {
            "power": self.form.power,
            "distance": self.form.distance,
            "half_space": self.form.half_space,
            **super().to_dict(),
        }

    def footer(self) -> list[str]:
        """Says which energy it is, and why a gap is missing."""
        space = "half" if self.form.half_space else "full"
        lines = [
            f"Energy: power {self.form.power:g}, {self.form.distance}, {space} "
            "space. Gap: 0 is the bound, 1 is random."
        ]
        if any(row.bound == "not proven" for row in self):
            lines.append("With angles in full space no minimum is proven.")
        if any(row.dimension <= self.form.power + 1 for row in self):
            lines.append(
                f"Random directions of {self.form.power + 1:g} or fewer "
                "entries have no finite energy at this power."
            )
        return lines


def audit(
    model: KerasObject,
    *,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
    layers: Sequence[str] | None = None,
) -> Audit:
    """Tells for each layer of a model how diverse its neurons are.

    The same energy for all layers, whatever their regularizers. Works in
    tiles, so wide layers need no table of all pairs; 10,000 neurons of
    dimension 512 take seconds.

    Args:
        model: A built Keras model.
        power: Real number >= 0, the energy's power. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Defaults to `False`.
        layers: `None` for all, or a sequence of names of layers or of what
            holds them, with `*` for any text. Defaults to `None`.

    Returns:
        An `Audit`: a sequence of `KernelAudit`, in the order of the model's
        layers, that prints as a table.

    Raises:
        ValueError: If the model is not built or has no kernel that
            `analysis.neuron_kernels` finds, if a name of `layers` stands for
            none, or if another argument is outside its range.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> model = keras.Sequential(
        ...     [keras.Input((8,)), keras.layers.Dense(4, name="hidden")]
        ... )
        >>> [(row.layer, row.bound) for row in keras_mhe.audit(model)]
        [('hidden', 'simplex')]
    """
    form = EnergyForm(power=power, distance=distance, half_space=half_space)
    kernels = neuron_kernels(model)
    if not kernels:
        raise ValueError(
            "`model` must have at least one kernel with neurons to compare, "
            "see `keras_mhe.analysis.neuron_kernels`. "
            f"Received: model {model.name!r}, which has none."
        )
    chosen = chosen_names("layers", layers, [k.name for k in kernels])
    return Audit(
        [
            audit_kernel(kernel, form)
            for kernel in kernels
            if kernel.name in chosen
        ],
        form,
    )


def audit_features(
    features: Tensor,
    *,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
    name: str = "features",
) -> Audit:
    """Tells how diverse the directions of features, or of any vectors, are.

    Args:
        features: Array or tensor of shape `(samples, dim)` with at least two
            samples of at least two entries.
        power: Real number >= 0, the energy's power. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Defaults to `False`.
        name: Stands in the table for a layer's name. Defaults to
            `"features"`.

    Returns:
        An `Audit` with one row, whose neurons are the samples.

    Raises:
        ValueError: If the features do not have this shape, or another
            argument is outside its range.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.analysis import audit_features
        >>> features = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
        >>> row = audit_features(features, power=0)[0]
        >>> row.duplicates, row.nearest
        (2, (1, 2))
    """
    form = EnergyForm(power=power, distance=distance, half_space=half_space)
    shape = tuple(ops.shape(features))
    if len(shape) != 2 or min(shape) < 2:
        raise ValueError(
            "`features` must have the shape (samples, dim), both at least 2. "
            f"Received: features.shape={shape}."
        )
    features = ops.convert_to_tensor(features)
    kernel = NeuronKernel(name, features, neuron_axis=0)
    return Audit([audit_kernel(kernel, form)], form)


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
    array = ops.convert_to_numpy(ops.cast(columns, "float32"))
    with np.errstate(over="ignore", invalid="ignore"):
        lengths: np.ndarray = np.linalg.norm(array.astype("float64"), axis=0)
    return lengths


def _num_dead(lengths: np.ndarray) -> int:
    is_finite = np.isfinite(lengths)
    if not is_finite.any():
        return len(lengths)
    shortest = DEAD_LENGTH * float(np.median(lengths[is_finite]))
    is_dead = ~is_finite | (lengths <= shortest)
    return int(np.sum(is_dead))

"""How diverse the neurons of every layer of a model are."""

import math
from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_mhe._neurons.kernels import (
    NeuronKernel,
    layers_not_known,
    neuron_kernels,
)
from keras_mhe._neurons.walk import chosen_names
from keras_mhe._text import printable
from keras_mhe._typing import KerasObject, Tensor
from keras_mhe.analysis._kernel_audit import KernelAudit, audit_kernel
from keras_mhe.analysis._table import Table
from keras_mhe.ops._energy.form import EnergyForm
from keras_mhe.regularizers._terms import terms_of


class Audit(Table[KernelAudit]):
    """The rows of an audit, and which energy they tell.

    A sequence of `KernelAudit`; prints as a table, also in notebooks.

    Args:
        rows: Sequence of `KernelAudit`.
        form: The energy.
        unknown: Names of layers whose neurons are not known. Defaults to
            `()`.
        other_space: Names of layers whose own regularizers work in half
            space where this energy does not, or the other way round. Defaults
            to `()`.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.analysis import audit_features
        >>> found = audit_features(np.eye(3), name="axes")
        >>> len(found), found.to_dict()["rows"][0]["bound"]
        (1, 'simplex')
    """

    row_class = KernelAudit

    def __init__(
        self,
        rows: Sequence[KernelAudit],
        form: EnergyForm,
        unknown: Sequence[str] = (),
        other_space: Sequence[str] = (),
    ) -> None:
        super().__init__(rows)
        self.form = form
        self.unknown = tuple(unknown)
        self.other_space = tuple(other_space)

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
        if any(row.dead and not math.isnan(row.energy) for row in self):
            lines.append(
                "Neurons of length 0 are left out of energy, gap and angles."
            )
        if any(row.has_few_living for row in self):
            lines.append(
                "few living: fewer than 3 neurons, or than a quarter of them, "
                "have a direction, so there is no gap."
            )
        if any(
            math.isnan(row.energy) and not row.has_few_living for row in self
        ):
            lines.append("Neurons that are not finite have no energy.")
        shown = {row.layer for row in self}  # A slice has fewer rows.
        elsewhere = [name for name in self.other_space if name in shown]
        if elsewhere:
            names = ", ".join(map(printable, elsewhere))
            other = "full" if self.form.half_space else "half"
            lines.append(
                f"Regularized in {other} space, so better looked at there: "
                f"{names}."
            )
        if self.unknown:
            names = ", ".join(map(printable, self.unknown))
            lines.append(f"Layers whose neurons are not known: {names}.")
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

    The same energy for all layers; a line below the table names those with
    a regularizer in the other space, half or full, whose gap says little
    here. Neurons of length 0 are left out. Works in tiles, so wide layers need
    no table of all pairs; 10,000 neurons of dimension 512 take seconds.

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
    names = chosen_names("layers", layers, [k.name for k in kernels])
    chosen = [kernel for kernel in kernels if kernel.name in names]
    return Audit(
        [audit_kernel(kernel, form) for kernel in chosen],
        form,
        layers_not_known(model) if layers is None else (),
        [k.name for k in chosen if _has_other_space(k, form.half_space)],
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
    features = ops.convert_to_tensor(features)
    shape = tuple(ops.shape(features))
    if len(shape) != 2 or min(shape) < 2:
        raise ValueError(
            "`features` must have the shape (samples, dim), both at least 2. "
            f"Received: features.shape={shape}."
        )
    kernel = NeuronKernel(name, features, neuron_axis=0)
    return Audit([audit_kernel(kernel, form)], form)


def _has_other_space(kernel: NeuronKernel, half_space: bool) -> bool:
    """Whether a regularizer of the kernel is in the other space only."""
    regularizer = getattr(kernel.variable, "regularizer", None)
    spaces = {
        term.half_space
        for term in terms_of(regularizer)
        if hasattr(term, "half_space")
    }
    return spaces == {not half_space}


def check_audit(name: str, value: object) -> None:
    """Raises for what is no `Audit`, such as a model."""
    if not isinstance(value, Audit):
        raise ValueError(
            f"`{name}` must be what `keras_mhe.audit` returns. Received: "
            f"{name} of type {type(value).__name__}."
        )

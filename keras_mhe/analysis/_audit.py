"""How diverse the neurons of every layer of a model are."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras import ops

from keras_mhe._neurons.kernel import NeuronKernel
from keras_mhe._neurons.kernels import layers_not_known, neuron_kernels
from keras_mhe._neurons.walk import chosen_names
from keras_mhe._text import printable
from keras_mhe._typing import KerasObject, Tensor
from keras_mhe.analysis._forms import given_energy, with_forms, words_of
from keras_mhe.analysis._histograms import angle_figure
from keras_mhe.analysis._kernel_audit import KernelAudit, audit_kernel
from keras_mhe.analysis._page import write_page
from keras_mhe.analysis._table import Table
from keras_mhe.ops._pairs.form import EnergyForm


class Audit(Table[KernelAudit]):
    """The rows of an audit.

    A sequence of `KernelAudit`; prints as a table, also in notebooks.

    Args:
        rows: Sequence of `KernelAudit`.
        unknown: Names of layers whose neurons are not known. Defaults to
            `()`.

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
        unknown: Sequence[str] = (),
    ) -> None:
        super().__init__(rows)
        self.unknown = tuple(unknown)

    def footer(self) -> list[str]:
        """Says what a gap is, and why one is missing."""
        lines = ["gap: 0 is the bound, 1 is random."]
        if any(row.bound == "not proven" for row in self):
            lines.append("With angles in full space no minimum is proven.")
        if any(row.dim <= row.form.power + 1 for row in self):
            lines.append(
                "Random directions of power + 1 or fewer entries have no "
                "finite energy."
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
        if self.unknown:
            names = ", ".join(map(printable, self.unknown))
            lines.append(f"Layers whose neurons are not known: {names}.")
        return lines

    def to_html(
        self, path: str | os.PathLike[str], *, title: str = "Audit"
    ) -> Path:
        """Writes one HTML file that needs nothing else; needs matplotlib.

        A summary, the table, sortable, and the angles of each layer; light and
        dark, for narrow screens, keyboards and screen readers. Nothing is
        loaded from a network. The file is written in one step: an older one is
        there until the new one is whole.

        Args:
            path: Of the file.
            title: Title of the page. Defaults to `"Audit"`.

        Returns:
            The path.

        Raises:
            ImportError: If matplotlib is not installed.
            OSError: If the file cannot be written.
        """
        return write_page(self, path, title)

    def plot(self, *, before: "Audit | None" = None) -> Any:
        """Draws how often which angle occurs in each layer; needs matplotlib.

        With the density of random directions, dashed, and the angles of the
        optimum where they are known, red; dotted those of a bound that need
        not be reached.

        Args:
            before: `None`, or an `Audit` to compare with: its layers of the
                same names are drawn behind, grey. Defaults to `None`.

        Returns:
            A `matplotlib.figure.Figure`.

        Raises:
            ValueError: If there is no row, if `before` is no audit, or if it
                measured a layer with another energy.
            ImportError: If matplotlib is not installed.
        """
        if not self:
            raise ValueError("An audit without rows has nothing to draw.")
        earlier = {} if before is None else rows_by_layer(self, before)
        return angle_figure(self, earlier)


def audit(
    model: KerasObject,
    *,
    power: float | None = None,
    distance: str | None = None,
    half_space: bool | None = None,
    layers: Sequence[str] | None = None,
) -> Audit:
    """Tells for each layer of a model how diverse its neurons are.

    Each kernel is measured with its own energy: that of its regularizer or
    constraint, or of its head, the first that there is. A kernel without one
    has the paper's for its place, of power 2 and Euclidean distances: in half
    space, or in full space if it makes an output of the model, as
    `output_layer` of `regularize` finds them. The column `form` says which.
    Arguments that are given hold for all kernels.

    Neurons of length 0 are left out. Works in tiles, so wide layers need no
    table of all pairs; 10,000 neurons of dimension 512 take seconds.

    Args:
        model: A built Keras model.
        power: `None` for each kernel's own, or a real number >= 0, the
            energy's power. Defaults to `None`.
        distance: `None` for each kernel's own, `"euclidean"` or `"angular"`.
            Defaults to `None`.
        half_space: `None` for each kernel's own, or a bool. Defaults to
            `None`.
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
    given = given_energy(power, distance, half_space)
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
        [audit_kernel(*pair) for pair in with_forms(model, chosen, given)],
        layers_not_known(model) if layers is None else (),
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
    return Audit([audit_kernel(kernel, form)])


def rows_by_layer(after: Audit, before: Audit) -> dict[str, KernelAudit]:
    """Returns the rows of an earlier audit by their layers.

    Raises:
        ValueError: If one is no audit, or if they measured a layer with
            different energies.
    """
    for name, value in (("after", after), ("before", before)):
        if not isinstance(value, Audit):
            raise ValueError(
                f"`{name}` must be what `keras_mhe.audit` returns. Received: "
                f"{name} of type {type(value).__name__}."
            )
    earlier = {row.layer: row for row in before}
    for row in after:
        form = earlier.get(row.layer, row).form
        if form != row.form:
            raise ValueError(
                "`before` must have measured the layers with the same "
                f"energies. Received: {row.layer} with {words_of(form)}, and "
                f"now {words_of(row.form)}. Give both audits the same `power`, "
                "`distance` and `half_space`."
            )
    return earlier

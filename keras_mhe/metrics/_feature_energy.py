"""Hyperspherical energy of features as a Keras metric."""

import math
from typing import Any

import keras
from keras import ops

from keras_mhe import _validation
from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe.functional import hyperspherical_energy
from keras_mhe.functional._potentials import Potential


@register("FeatureEnergy")
class FeatureEnergy(keras.metrics.Mean):  # type: ignore[misc]
    """Mean energy of pairs of features in the same batch: low is uniform.

    Features of one training or test run that crowd together on the
    hypersphere have a high energy, those spread evenly a low one. Batches
    count by their pairs, so a smaller last one does no harm. In full space
    the expected value is the same for all sizes of a batch; in half space
    it is not, since `1 / (2N - 1)` of the pairs of `N` features are of a
    feature and its own opposite.

    Args:
        power: Real number >= 0. 0 is the logarithm. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Whether opposite features count too. Defaults to
            `False`.
        name: Name of the metric. Defaults to `"feature_energy"`.
        dtype: Dtype of the mean, as of `keras.metrics.Metric`. Defaults to
            `None`.

    Call arguments:
        y_true: Ignored, as `compile(metrics=...)` hands it over; may be
            `None`.
        y_pred: Features, shape `(batch, dim)`. Zeros count as orthogonal to
            all others; NaN or infinity makes the metric NaN.
        sample_weight: Ignored.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.metrics import FeatureEnergy
        >>> metric = FeatureEnergy(power=1)
        >>> metric.update_state(None, np.array([[1.0, 0.0], [-1.0, 0.0]]))
        >>> float(metric.result())
        0.5

    References:
        Liu et al., NeurIPS 2018, arXiv:1805.09298, equation 1, of features
        in place of neurons.
    """

    def __init__(
        self,
        power: float = 2,
        distance: str = "euclidean",
        half_space: bool = False,
        name: str = "feature_energy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        potential = Potential(power=power, distance=distance)
        self.power = potential.power
        self.distance = potential.distance
        self.half_space = _validation.boolean("half_space", half_space)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None
    ) -> None:
        """Adds the pairs of a batch of features."""
        features = ops.convert_to_tensor(y_pred)
        energy = hyperspherical_energy(
            features,
            power=self.power,
            distance=self.distance,
            half_space=self.half_space,
            neuron_axis=0,
        )
        # The energy takes NaN for zeros; here it shows that a model diverged.
        is_finite = ops.all(ops.isfinite(features))
        energy = ops.where(is_finite, energy, math.nan)
        size = ops.cast(ops.shape(features)[0], self.dtype)
        pairs = 0.5 * size * (size - 1.0)
        if self.half_space:
            pairs = ops.where(size > 1.0, size * (2.0 * size - 1.0), 0.0)
        super().update_state(energy, sample_weight=pairs)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return {
            "power": self.power,
            "distance": self.distance,
            "half_space": self.half_space,
            "name": self.name,
            "dtype": self.dtype,
        }

"""Hyperspherical energy of features as a Keras metric."""

import math
from typing import Any

import keras
from keras import ops

from keras_mhe import _numerics
from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe.ops._energy.energy import energy_of
from keras_mhe.ops._pairs.form import EnergyForm


@register("FeatureEnergy")
class FeatureEnergy(keras.metrics.Mean):  # type: ignore[misc]
    """Mean energy of pairs of features in the same batch: low is uniform.

    Features of one training or test run that crowd together on the
    hypersphere have a high energy, those spread evenly a low one. Batches
    count by their pairs, so a smaller last one does no harm. In full space
    the expected value is the same for all sizes of a batch; in half space
    it is not, since `1 / (2N - 1)` of the pairs of `N` features are of a
    feature and its own opposite. Features that padding left at zero, that a
    mask or that the weight 0 hides, are not counted.

    Args:
        power: Real number >= 0. 0 is the logarithm. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Whether opposite features count too. Defaults to
            `False`.
        name: Name of the metric. Defaults to `"feature_energy"`.
        dtype: Dtype of the mean, as of `keras.metrics.Metric`, but float32
            for shorter ones. Defaults to `None`.

    Call arguments:
        y_true: Ignored, as `compile(metrics=...)` hands it over; may be
            `None`.
        y_pred: Features, shape `(batch, dim)`, or with more axes between
            them, as a sequence has: all positions of the batch are features,
            except those that Keras' mask hides (the compiled steps of JAX
            have no mask: give sample weights there). NaN or infinity makes
            the metric NaN.
        sample_weight: `None`, or weights of shape `(batch,)`, or of the shape
            of `y_pred` without its last axis. A feature with the weight 0 is
            left out; all others count the same.

    Raises:
        ValueError: If an argument is outside its range; on the call, if
            `y_pred` has one axis.

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
        super().__init__(name=name, dtype=_numerics.wide_dtype(dtype))
        self.form = EnergyForm(power, distance, half_space, neuron_axis=0)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None
    ) -> None:
        """Adds the pairs of a batch of features."""
        mask = getattr(y_pred, "_keras_mask", None)
        features = ops.convert_to_tensor(y_pred)
        if len(features.shape) < 2:
            raise ValueError(
                "`y_pred` must be features of shape (batch, dim), or with "
                "more axes between them. "
                f"Received: y_pred.shape={tuple(features.shape)}."
            )
        for weights in (mask, sample_weight):
            if weights is not None:
                is_counted = _along_features(weights, features)
                features = ops.where(is_counted, features, 0.0)
        features = ops.reshape(features, (-1, ops.shape(features)[-1]))
        energy = energy_of(features, self.form)
        # The energy takes NaN for zeros; here it shows that a model diverged.
        is_finite = ops.all(ops.isfinite(features))
        energy = ops.where(is_finite, energy, math.nan)
        is_counted = ops.any(ops.not_equal(features, 0), axis=-1)
        size = ops.sum(ops.cast(is_counted, self.dtype))
        pairs = 0.5 * size * (size - 1.0)
        if self.form.half_space:
            pairs = ops.where(size > 1.0, size * (2.0 * size - 1.0), 0.0)
        super().update_state(energy, sample_weight=pairs)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return {
            "power": self.form.power,
            "distance": self.form.distance,
            "half_space": self.form.half_space,
            "name": self.name,
            "dtype": self.dtype,
        }


def _along_features(weights: Tensor, features: Tensor) -> Tensor:
    """Returns where weights are not 0, with as many axes as the features."""
    is_counted = ops.not_equal(ops.convert_to_tensor(weights), 0)
    shape = ops.shape(is_counted)
    ones = (1,) * (len(features.shape) - len(shape))
    return ops.reshape(is_counted, (*shape, *ones))

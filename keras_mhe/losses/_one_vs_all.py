"""Binary cross-entropy of each class against all others."""

from typing import Any

import keras
from keras import ops

from keras_mhe import _numerics
from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_labels_of_logits, check_real
from keras_mhe.ops._heads.logits import is_target


@register("OneVsAllCrossentropy")
class OneVsAllCrossentropy(keras.losses.Loss):  # type: ignore[misc]
    """SphereFace2's loss: a weighted binary cross-entropy for each class.

    For the logits `z` of a sample of class `y`

        factor (w log(1 + exp(-z_y))
                + (1 - w) sum over j != y of log(1 + exp(z_j)))

    Args:
        positive_weight: Real number in (0, 1): the weight `w` of the
            sample's own class, which stands alone against all others.
            Defaults to `0.7`.
        factor: Real number > 0. OpenSphere has 50 / scale. Defaults to
            `1.25`.
        reduction: How the samples' losses are joined, as of
            `keras.losses.Loss`. Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"one_vs_all_crossentropy"`.
        dtype: Dtype of the computation and of the labels, as of
            `keras.losses.Loss`, but float32 for shorter ones, which holds
            labels up to 16,777,216. Defaults to `None`.

    Call arguments:
        y_true: Integer labels in `[0, classes)`, shape `(batch,)` or
            `(batch, 1)`. A sample with another label belongs to no class.
        y_pred: Logits, shape `(batch, classes)`.

    Raises:
        ValueError: If an argument is outside its range; on the call, if
            `y_true` or `y_pred` has another shape.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.losses import OneVsAllCrossentropy
        >>> loss = OneVsAllCrossentropy(positive_weight=0.5, factor=2.0)
        >>> value = loss(np.array([1]), np.zeros((1, 3), "float32"))
        >>> bool(abs(float(value) - 3 * np.log(2)) < 1e-6)
        True

    References:
        Wen et al., "SphereFace2", ICLR 2022, arXiv:2108.01513.
    """

    def __init__(
        self,
        positive_weight: float = 0.7,
        factor: float = 1.25,
        reduction: str = "sum_over_batch_size",
        name: str = "one_vs_all_crossentropy",
        dtype: Any = None,
    ) -> None:
        dtype = _numerics.wide_dtype(dtype)
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.positive_weight = check_real(
            "positive_weight", positive_weight, above=0, below=1
        )
        self.factor = check_real("factor", factor, above=0)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns the loss of each sample, shape `(batch,)`."""
        check_labels_of_logits(y_true.shape, y_pred.shape)
        targets = is_target(ops.reshape(y_true, (-1,)), ops.shape(y_pred)[-1])
        losses = ops.softplus(ops.where(targets, -y_pred, y_pred))
        own = ops.sum(ops.where(targets, losses, 0.0), axis=-1)
        others = ops.sum(ops.where(targets, 0.0, losses), axis=-1)
        weight = self.positive_weight
        return self.factor * (weight * own + (1.0 - weight) * others)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        config: dict[str, Any] = super().get_config()
        return config | {
            "positive_weight": self.positive_weight,
            "factor": self.factor,
        }

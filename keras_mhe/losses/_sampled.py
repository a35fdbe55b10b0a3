"""Softmax cross-entropy for heads that draw classes in training."""

from typing import Any

import keras
from keras import ops

from keras_mhe import _numerics
from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_labels_of_logits
from keras_mhe.ops._heads.sampling import target_columns


@register("SampledCrossentropy")
class SampledCrossentropy(keras.losses.Loss):  # type: ignore[misc]
    """Softmax cross-entropy of a head with `sample_rate` below 1.

    It knows by their first column the logits that such a head returns in
    training, where the own class of a row stands at another place than its
    label. For all other logits it is
    `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`, so
    training and validation have the same loss.

    Args:
        reduction: How the samples' losses are joined, as of
            `keras.losses.Loss`. Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"sampled_crossentropy"`.
        dtype: Dtype of labels and logits, as of `keras.losses.Loss`, but
            float32 for shorter ones, which holds labels up to 16,777,216.
            Defaults to `None`.

    Call arguments:
        y_true: Integer labels in `[0, classes)`, shape `(batch,)` or
            `(batch, 1)`.
        y_pred: Logits, shape `(batch, columns)`.

    Raises:
        ValueError: If `y_true` or `y_pred` has another shape.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.layers import ArcFace
        >>> from keras_mhe.losses import SampledCrossentropy
        >>> head = ArcFace(1000, sample_rate=0.01)
        >>> features, labels = np.eye(2, 4), np.array([0, 999])
        >>> logits = head((features, labels), training=True)
        >>> logits.shape[1]
        13
        >>> bool(SampledCrossentropy()(labels, logits) > 0.0)
        True

    References:
        An et al., "Partial FC", 2021, arXiv:2010.05222. For what differs see
        `keras_mhe.layers.AngularMargin`.
    """

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str = "sampled_crossentropy",
        dtype: Any = None,
    ) -> None:
        dtype = _numerics.wide_dtype(dtype)
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns the loss of each sample, shape `(batch,)`."""
        check_labels_of_logits(y_true.shape, y_pred.shape)
        labels = ops.reshape(y_true, (-1,))
        return keras.losses.sparse_categorical_crossentropy(
            target_columns(y_pred, labels), y_pred, from_logits=True
        )

"""The head of SphereFace2, a binary classifier for each class."""

import math
from typing import Any

import keras
from keras import ops

from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_boolean, check_integer, check_real
from keras_mhe.layers._angular_margin import AngularMargin
from keras_mhe.ops import cosines, similarity_adjustment
from keras_mhe.ops._heads.logits import is_target


@register("SphereFace2")
class SphereFace2(AngularMargin):
    """SphereFace2's head: one against all, for each class by itself.

    The logit of a class is `scale * g(cos t) + bias`; in training
    `scale * (g(cos t) - margin) + bias` for the sample's own class and
    `scale * (g(cos t) + margin) + bias` for all others, with

        g(c) = 2 ((c + 1) / 2)**adjustment - 1

    and one trainable bias. It goes with the loss
    `keras_mhe.losses.OneVsAllCrossentropy`, not with a softmax.

    Args:
        units: Int >= 2, the number of classes.
        margin: Real number in [0, 2], no unit. Defaults to `0.4`.
        scale: Real number > 0, no unit. Defaults to `40.0`.
        adjustment: Real number in [1, 64], no unit: spreads similarities, of
            which most are near 0. 1 leaves them alone. Defaults to `3.0`.
        positive_weight: Real number in (0, 1): that of the loss, from which
            the bias begins so that positive and negative samples weigh the
            same. Defaults to `0.7`.
        gradient_detachment: Bool. Whether adjustment and margin change the
            value only and the gradient is that of `cos t`, as in OpenSphere.
            Defaults to `False`.
        kwargs: Arguments of `AngularMargin` without `sample_rate`, such as
            `energy` and `kernel_regularizer`, and of `keras.layers.Layer`.

    Call arguments, input shape: as of `AngularMargin`.

    Output shape:
        `(batch, units)`, float32 (float64 under `"float64"`): logits of a
        sigmoid for each class.

    Attributes:
        bias: A weight of shape `(1,)`.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> import numpy as np
        >>> from keras.ops import convert_to_numpy
        >>> from keras_mhe.layers import SphereFace2
        >>> head = SphereFace2(3, margin=0.25, scale=4.0)
        >>> features, labels = np.eye(2, 4), np.array([0, 2])
        >>> logits = head((features, labels), training=True)
        >>> gained = convert_to_numpy(logits - head(features))
        >>> [round(float(number), 4) for number in gained[0]]
        [-1.0, 1.0, 1.0]

    References:
        Wen et al., "SphereFace2", ICLR 2022, arXiv:2108.01513, the form
        SphereFace2-C, and OpenSphere for the first bias and the numbers.
    """

    def __init__(
        self,
        units: int,
        margin: float = 0.4,
        scale: float = 40.0,
        *,
        adjustment: float = 3.0,
        positive_weight: float = 0.7,
        gradient_detachment: bool = False,
        **kwargs: Any,
    ) -> None:
        check_integer("units", units, at_least=2)
        super().__init__(units, scale=scale, **kwargs)
        if self.sample_rate < 1.0:
            raise ValueError(
                "`sample_rate` is for heads with a softmax. Received: "
                f"sample_rate={self.sample_rate}."
            )
        self.margin = check_real("margin", margin, at_least=0.0, at_most=2.0)
        self.adjustment = check_real(
            "adjustment", adjustment, at_least=1.0, at_most=64.0
        )
        self.positive_weight = check_real(
            "positive_weight", positive_weight, above=0, below=1
        )
        self.gradient_detachment = check_boolean(
            "gradient_detachment", gradient_detachment
        )

    def build(self, input_shape: Any) -> None:
        """Makes the class vectors, the step counter and the bias."""
        super().build(input_shape)
        self.bias = self.add_weight(
            name="bias",
            shape=(1,),
            dtype=self._logits_dtype,
            initializer=keras.initializers.Constant(self.first_bias()),
            autocast=False,
        )

    def first_bias(self) -> float:
        """Returns the bias at which both kinds of samples weigh the same.

        That is, where the derivative of the weighted loss by the bias is 0
        for cosines of 0: OpenSphere's formula, also for few classes.
        """
        odds = self.positive_weight / (
            (1.0 - self.positive_weight) * (self.units - 1.0)
        )
        similarity = 2.0 * 0.5**self.adjustment - 1.0
        others = self.scale * (similarity + self.margin)
        distance = 2.0 * self.scale * self.margin
        # With a root that cannot underflow where `odds` is 1.
        spread = 2.0 * math.sqrt(odds) * math.exp(-distance / 2.0)
        root = math.hypot(1.0 - odds, spread)
        if odds < 1.0:
            return float(math.log(2.0 * odds / (1.0 - odds + root)) - others)
        if odds > 1.0:
            return float(
                math.log((odds - 1.0 + root) / 2.0) + distance - others
            )
        return float(distance / 2.0 - others)

    def logits(self, features: Tensor) -> Tensor:
        """Returns the logits without margin, shape `(batch, units)`."""
        return self._logits(self._similarities(features))

    def margin_logits(
        self, features: Tensor, labels: Tensor, step: Tensor
    ) -> Tensor:
        """Returns the logits of a training step, shape `(batch, units)`."""
        targets = is_target(labels, self.units)
        similarities = self._similarities(features)
        signs = ops.cast(ops.where(targets, -1, 1), similarities.dtype)
        return self._logits(similarities + self.margin * signs)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return super().get_config() | {
            "margin": self.margin,
            "adjustment": self.adjustment,
            "positive_weight": self.positive_weight,
            "gradient_detachment": self.gradient_detachment,
        }

    def _logits(self, similarities: Tensor) -> Tensor:
        bias = ops.cast(self.bias, similarities.dtype)
        return self.scale * similarities + bias

    def _similarities(self, features: Tensor) -> Tensor:
        return similarity_adjustment(
            cosines(features, self.kernel),
            self.adjustment,
            gradient_detachment=self.gradient_detachment,
        )

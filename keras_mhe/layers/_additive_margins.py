"""Heads whose margin is added: to the cosine, or to the angle."""

import math
from typing import Any

from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_boolean, check_real
from keras_mhe.layers._angular_margin import AngularMargin
from keras_mhe.ops import (
    additive_angular_margin,
    additive_cosine_margin,
)


@register("CosFace")
class CosFace(AngularMargin):
    """Head with an additive cosine margin: `scale * (cos t - margin)`.

    Also known as AM-Softmax.

    Args:
        units: Int >= 1, the number of classes.
        margin: Real number in [0, 2], no unit: the cosine that a sample's own
            class must be ahead. Defaults to `0.35`.
        scale: Real number > 0, no unit. Defaults to `64.0`.
        kwargs: Arguments of `AngularMargin`, such as `energy` and
            `kernel_regularizer`, and of `keras.layers.Layer`.

    Call arguments, input shape, output shape, attributes: as of
    `AngularMargin`.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> import numpy as np
        >>> from keras.ops import convert_to_numpy
        >>> from keras_mhe.layers import CosFace
        >>> head = CosFace(3, margin=0.25, scale=8.0)
        >>> features, labels = np.eye(2, 4), np.array([0, 2])
        >>> logits = head((features, labels), training=True)
        >>> lost = convert_to_numpy(head(features) - logits)
        >>> [round(float(number), 4) for number in lost[0]]
        [2.0, 0.0, 0.0]

    References:
        Wang et al., "CosFace", CVPR 2018, arXiv:1801.09414, equation 4; with
        its margin 0.35. Wang et al., "Additive Margin Softmax for Face
        Verification", 2018, arXiv:1801.05599.
    """

    def __init__(
        self,
        units: int,
        margin: float = 0.35,
        scale: float = 64.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, scale=scale, **kwargs)
        self.margin = check_real("margin", margin, at_least=0.0, at_most=2.0)

    def margin_of(self, cosine: Tensor, step: Tensor) -> Tensor:
        """Returns `cos t - margin`."""
        return additive_cosine_margin(cosine, self.margin)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return super().get_config() | {"margin": self.margin}


@register("ArcFace")
class ArcFace(AngularMargin):
    """Head with an additive angular margin: `scale * cos(t + margin)`.

    Args:
        units: Int >= 1, the number of classes.
        margin: Real number in [0, pi / 2], radians: the angle that a sample's
            own class must be ahead. Defaults to `0.5`.
        scale: Real number > 0, no unit. Defaults to `64.0`.
        gradient_detachment: Bool. Whether the margin changes the value only
            and the gradient is that of `cos t` ("characteristic gradient
            detachment"), as in OpenSphere. Defaults to `False`.
        kwargs: Arguments of `AngularMargin`, such as `energy` and
            `kernel_regularizer`, and of `keras.layers.Layer`.

    Call arguments, input shape, output shape, attributes: as of
    `AngularMargin`. Beyond `t + margin = pi` see
    `keras_mhe.ops.additive_angular_margin`.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> import numpy as np
        >>> from keras.ops import convert_to_numpy
        >>> from keras_mhe.layers import ArcFace
        >>> head = ArcFace(3, margin=0.5, scale=1.0)
        >>> features, labels = np.eye(2, 4), np.array([0, 2])
        >>> logits = [head(features), head((features, labels), training=True)]
        >>> angles = np.arccos([convert_to_numpy(all_) for all_ in logits])
        >>> [round(float(lost), 3) for lost in (angles[1] - angles[0])[1]]
        [0.0, 0.0, 0.5]

    References:
        Deng et al., "ArcFace", CVPR 2019, arXiv:1801.07698, equation 3, with
        its margin and scale.
    """

    def __init__(
        self,
        units: int,
        margin: float = 0.5,
        scale: float = 64.0,
        *,
        gradient_detachment: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, scale=scale, **kwargs)
        self.margin = check_real(
            "margin", margin, at_least=0.0, at_most=math.pi / 2
        )
        self.gradient_detachment = check_boolean(
            "gradient_detachment", gradient_detachment
        )

    def margin_of(self, cosine: Tensor, step: Tensor) -> Tensor:
        """Returns `cos(t + margin)`."""
        return additive_angular_margin(
            cosine,
            self.margin,
            gradient_detachment=self.gradient_detachment,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return super().get_config() | {
            "margin": self.margin,
            "gradient_detachment": self.gradient_detachment,
        }

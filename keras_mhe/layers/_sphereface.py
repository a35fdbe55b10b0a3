"""Heads whose margin multiplies the angle."""

from typing import Any

from keras import ops

from keras_mhe import _backend
from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import (
    check_boolean,
    check_choice,
    check_integer,
    check_real,
)
from keras_mhe.layers._angular_margin import AngularMargin
from keras_mhe.ops import feature_norms, multiplicative_angular_margin

FEATURE_NORMS = ("none", "hard", "soft")


@register("SphereFace")
class SphereFace(AngularMargin):
    """SphereFace's head (A-Softmax): the features keep their lengths.

    The logit of a class is `|x| cos t`, that of the sample's own class in
    training

        |x| (lambda cos t + psi(t)) / (lambda + 1)

    with `psi` of `keras_mhe.ops.multiplicative_angular_margin`. lambda
    falls from step to step, so that the margin sets in slowly:

        lambda = max(lambda_min,
                     lambda_base (1 + lambda_gamma n)**-lambda_power)

    at the n-th training step, `n = 1, 2, ...`. With `energy=MHE(...)`, or an
    `MHE` as `kernel_regularizer`, it is SphereFace+.

    Args:
        units: Int >= 1, the number of classes.
        margin: 1, 2, 3 or 4, no unit: the factor of the angle. Defaults to
            `4`.
        lambda_base: Real number >= 0. Defaults to `1000.0`.
        lambda_gamma: Real number >= 0. The published runs have 0.11 for the
            margins 2 and 3. Defaults to `0.12`.
        lambda_power: Real number >= 0. Defaults to `1.0`.
        lambda_min: Real number >= 0. Defaults to `5.0`.
        lambda_start: Int >= 0. Steps that count as done for lambda when
            training begins; 2000 in the published run with margin 4, where
            lambda so is 5 throughout. Defaults to `0`.
        gradient_detachment: Bool. Whether the margin changes the value only
            and the gradient is that of `cos t`. Defaults to `False`.
        kwargs: Arguments of `AngularMargin` without `scale`, such as
            `energy` and `kernel_regularizer`, and of `keras.layers.Layer`.

    Call arguments, input shape, output shape, attributes: as of
    `AngularMargin`. The step is counted before lambda is computed.

    Raises:
        ValueError: If an argument is outside its range, or for `scale`.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.layers import SphereFace
        >>> head = SphereFace(3, margin=2)
        >>> features, labels = np.eye(2, 4), np.array([0, 2])
        >>> logits = head((features, labels), training=True)
        >>> logits.shape[1], int(head.step)
        (3, 1)
        >>> round(float(head.lambda_at(0)), 1)
        892.9

    References:
        Liu et al., "SphereFace", CVPR 2017, arXiv:1704.08063, equation 7,
        without arccos as its Caffe layer. lambda is not in the paper: the
        published training files have it, with these numbers. SphereFace+:
        Liu et al., NeurIPS 2018, arXiv:1805.09298, section 4.3. Differs: the
        published layer for SphereFace+ is not the paper's energy. It lowers
        the inverse of the mean squared distance between all class vectors
        and those of the batch, measures it in every tenth step only, and
        moves those of the batch only; here `energy=MHE(...)` is the paper's
        mini-batch form, section 3.6.
    """

    def __init__(
        self,
        units: int,
        margin: int = 4,
        *,
        lambda_base: float = 1000.0,
        lambda_gamma: float = 0.12,
        lambda_power: float = 1.0,
        lambda_min: float = 5.0,
        lambda_start: int = 0,
        gradient_detachment: bool = False,
        **kwargs: Any,
    ) -> None:
        if "scale" in kwargs:
            raise ValueError(
                "`SphereFace` has no `scale`: the features' lengths stand in "
                f"its place. Received: scale={kwargs['scale']!r}."
            )
        super().__init__(units, **kwargs)
        self.margin = check_integer("margin", margin, at_least=1, at_most=4)
        self.lambda_base = check_real("lambda_base", lambda_base, at_least=0)
        self.lambda_gamma = check_real("lambda_gamma", lambda_gamma, at_least=0)
        self.lambda_power = check_real("lambda_power", lambda_power, at_least=0)
        self.lambda_min = check_real("lambda_min", lambda_min, at_least=0)
        self.lambda_start = check_integer(
            "lambda_start", lambda_start, at_least=0
        )
        self.gradient_detachment = check_boolean(
            "gradient_detachment", gradient_detachment
        )

    def lambda_at(self, step: Tensor) -> Tensor:
        """Returns lambda after `step` training steps, a float32 scalar."""
        done = ops.cast(step, "float32") + float(self.lambda_start + 1)
        decay = (1.0 + self.lambda_gamma * done) ** -self.lambda_power
        return ops.maximum(self.lambda_min, self.lambda_base * decay)

    def margin_of(self, cosine: Tensor, step: Tensor) -> Tensor:
        """Returns `(lambda cos t + psi(t)) / (lambda + 1)`."""
        psi = multiplicative_angular_margin(
            cosine,
            self.margin,
            gradient_detachment=self.gradient_detachment,
        )
        share = ops.cast(1.0 / (1.0 + self.lambda_at(step)), psi.dtype)
        return cosine + share * (psi - cosine)

    def scales(self, features: Tensor) -> Tensor:
        """Returns the lengths of the features, shape `(batch, 1)`."""
        return feature_norms(features)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        config = super().get_config()
        del config["scale"]
        return config | {
            "margin": self.margin,
            "lambda_base": self.lambda_base,
            "lambda_gamma": self.lambda_gamma,
            "lambda_power": self.lambda_power,
            "lambda_min": self.lambda_min,
            "lambda_start": self.lambda_start,
            "gradient_detachment": self.gradient_detachment,
        }


@register("SphereFaceR")
class SphereFaceR(AngularMargin):
    """SphereFace-R's head: a multiplicative margin that need not be whole.

    The logit of a class is `scale * cos t`, that of the sample's own class
    in training `scale * psi(t)`, with `psi` of
    `keras_mhe.ops.multiplicative_angular_margin`. No annealing.

    Args:
        units: Int >= 1, the number of classes.
        margin: Real number in [1, 16], no unit: the factor of the angle.
            Defaults to `1.7`.
        scale: Real number > 0, no unit. Defaults to `64.0`.
        feature_norm: What becomes of the features' lengths `|x|`. `"hard"`:
            all count as `scale`. `"none"`: they count as they are, in place
            of `scale`. `"soft"`: as `"none"`, and in training the mean of
            `soft_weight * (|x| - scale)**2` is added to the loss. Defaults
            to `"hard"`.
        soft_weight: Real number >= 0, for `feature_norm="soft"`. Defaults to
            `0.01`.
        gradient_detachment: Bool. Whether the margin changes the value only
            and the gradient is that of `cos t` ("characteristic gradient
            detachment"), as in the paper and in OpenSphere. Defaults to
            `False`.
        kwargs: Arguments of `AngularMargin`, such as `energy` and
            `kernel_regularizer`, and of `keras.layers.Layer`.

    Call arguments, input shape, output shape, attributes: as of
    `AngularMargin`.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.layers import SphereFaceR
        >>> head = SphereFaceR(3, margin=1.5, scale=8.0)
        >>> features, labels = np.eye(2, 4), np.array([0, 2])
        >>> lost = head(features) - head((features, labels), training=True)
        >>> [bool(number > 0.0) for number in lost[1]]
        [False, False, True]

    References:
        Liu et al., "SphereFace Revived", 2021, arXiv:2109.05565. Of the
        margins there this is the first, SphereFace's psi, which OpenSphere
        calls v0; not those it calls v1, `cos(min(margin t, pi))`, and v2,
        which leaves the own class alone and gives the others
        `cos(t / margin)`. Soft feature normalisation is the "Ring loss" of
        Zheng et al., CVPR 2018, a square; OpenSphere has the absolute value.
    """

    def __init__(
        self,
        units: int,
        margin: float = 1.7,
        scale: float = 64.0,
        *,
        feature_norm: str = "hard",
        soft_weight: float = 0.01,
        gradient_detachment: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, scale=scale, **kwargs)
        self.margin = check_real("margin", margin, at_least=1.0, at_most=16.0)
        self.feature_norm = check_choice(
            "feature_norm", feature_norm, FEATURE_NORMS
        )
        self.soft_weight = check_real("soft_weight", soft_weight, at_least=0)
        self.gradient_detachment = check_boolean(
            "gradient_detachment", gradient_detachment
        )

    def margin_of(self, cosine: Tensor, step: Tensor) -> Tensor:
        """Returns `psi(t)`."""
        return multiplicative_angular_margin(
            cosine,
            self.margin,
            gradient_detachment=self.gradient_detachment,
        )

    def scales(self, features: Tensor) -> Tensor:
        """Returns `scale`, or the lengths of the features."""
        if self.feature_norm == "hard":
            return self.scale
        return feature_norms(features)

    def add_losses(self, features: Tensor) -> None:
        """Adds the soft normalisation's loss."""
        if self.feature_norm == "soft":
            excess = feature_norms(features) - self.scale
            loss = self.soft_weight * ops.mean(ops.square(excess))
            self.add_loss(_backend.loss_summand(loss))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return super().get_config() | {
            "margin": self.margin,
            "feature_norm": self.feature_norm,
            "soft_weight": self.soft_weight,
            "gradient_detachment": self.gradient_detachment,
        }

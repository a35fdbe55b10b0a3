"""The energy term of the GAN program published with the MHE paper."""

import math
from typing import Any

from keras import ops

from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe.ops._energy.energy import energy_of
from keras_mhe.ops._pairs.potentials import Potential
from keras_mhe.regularizers._mhe import MHE

#: Added to the squared distance of a pair.
_OFFSET = 1e-4
#: Added to the squared norm of each neuron.
_NORM_EPSILON = 5e-5
#: What the programs add in all, without and with spectral norm.
GAN_STRENGTHS = {"gan": 2e-6, "sn_gan": 2e-7}

_POTENTIAL = Potential(power=0, offset=_OFFSET)


@register("PublishedGANMHE")
class PublishedGANMHE(MHE):
    """The published MHE-GAN program's energy term, number for number.

    Made by `MHE.from_reference("gan")` and `("sn_gan")`. The term of a kernel
    with `n` neurons `u = w / sqrt(|w|**2 + 5e-5)` is

        -strength / n**2 * (sum over pairs of log(2 - 2c + 1e-4)
                            + (n**2 + n) / 2 * log(1e-4))

    with the cosine `c = u . u'`: the logarithmic energy times
    `strength * (n - 1) / n`, and a constant. The program looks like the
    half-space form, for which it appends the opposite of the kernel; it does
    so along the axis of the entries, not of the neurons, so the term is that
    of full space.

    Args:
        strength: Real number >= 0. The program adds 1e-6 times the term for
            each of two calls of the discriminator (1e-7 with spectral norm),
            2e-6 (2e-7) in all.

    Raises:
        ValueError: If `strength` is negative or not finite; on the call, if
            the kernel has a rank below 2.

    Call arguments:
        x: The kernel, a float tensor of rank 2 or more, neurons on the last
            axis. With one neuron the term is a constant.

    Example:
        >>> import keras_mhe
        >>> keras_mhe.MHE.from_reference("gan").get_config()
        {'strength': 2e-06}

    References:
        wy1iu/MHE on GitHub, `MHE-GAN/sn-model/libs` and `non-sn-model`.
        Differs: neurons nearer than 1.4e-3 count as equal.
    """

    def __init__(self, strength: float) -> None:
        super().__init__(strength, power=0, epsilon=_NORM_EPSILON)

    def term(
        self,
        x: Tensor,
        anchors: Tensor | None = None,
        others: Tensor | None = None,
    ) -> Tensor:
        """Returns the term of the kernel `x`."""
        energy = energy_of(x, self.form, anchors, others, potential=_POTENTIAL)
        n = ops.shape(x)[-1]
        constant = -(n + 1) / (2 * n) * math.log(_OFFSET)
        return self.strength * ((n - 1) / n * energy + constant)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return {"strength": self.strength}

"""The energy terms of the program published with the MHE paper."""

import math
from typing import Any

from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_boolean, check_choice
from keras_mhe.ops._energy.energy import energy_of
from keras_mhe.ops._pairs.potentials import Potential
from keras_mhe.regularizers._mhe import MHE

#: What `model_name` may be.
MODEL_NAMES = ("mhe", "half_mhe")

#: Added to the squared norm of each neuron by the program.
_NORM_EPSILON = 1e-4

_FRACTION_OF_PI: dict[str, Any] = {
    "distance": "angular",
    "scale": 1 / math.pi,
    "offset": 1e-4,
}

#: Potential and factor of each `power_s`. The program's `0` is
#: `-log(r**2)`, twice the paper's `-log(r)`.
_FORMS = {
    "0": (Potential(power=0), 2.0),
    "1": (Potential(power=1), 1.0),
    "2": (Potential(power=2), 1.0),
    "a0": (Potential(power=0, **_FRACTION_OF_PI), 1.0),
    "a1": (Potential(power=1, **_FRACTION_OF_PI), 0.1),
    "a2": (Potential(power=2, **_FRACTION_OF_PI), 0.1),
}

#: The program multiplies the classifier's term by this, in every form.
_OUTPUT_FACTOR = 10.0


@register("PublishedMHE")
class PublishedMHE(MHE):
    """The published TensorFlow program's energy term, number for number.

    Made by `MHE.from_reference`. Use it to reproduce the published
    experiments; `MHE` is the scale-free form for new work. What it computes,
    as a mean over pairs of the last axis' neurons `w / sqrt(|w|**2 + 1e-4)`:

    | `power_s` | pair of cosine c, distance r, angle t | hidden | classifier |
    |---|---|---|---|
    | `"0"` | `-log(r**2)` | 1 | 10 |
    | `"1"` | `1 / r` | 1 | 10 |
    | `"2"` | `1 / r**2` | 1 | 10 |
    | `"a0"` | `-log(t/pi + 1e-4)` | 1 | 10 |
    | `"a1"` | `1 / (t/pi + 1e-4)` | 0.1 | 1 |
    | `"a2"` | `1 / (t/pi + 1e-4)**2` | 0.1 | 1 |

    Because of the 1e-4 under the root it is not scale-free: neurons much
    shorter than 0.01 hardly repel each other.

    Args:
        model_name: `"mhe"` (full space) or `"half_mhe"`.
        power_s: One of the table's first column.
        output_layer: Whether the term is for the classifier: its factor, and
            full space always. Defaults to `False`.

    Raises:
        ValueError: If an argument is not one of the choices.

    Call arguments:
        x: The kernel, a float tensor of rank 2 or more, neurons on the last
            axis.

    Example:
        >>> import keras_mhe
        >>> keras_mhe.MHE.from_reference("half_mhe", "a2").get_config()
        {'model_name': 'half_mhe', 'power_s': 'a2', 'output_layer': False}

    References:
        wy1iu/MHE on GitHub, `code/architecture.py`. Differs: equal neurons
        give a finite value and gradient; the program returns NaN for neurons
        long enough to make the 1e-4 vanish in float32.
    """

    def __init__(
        self,
        model_name: str,
        power_s: str | None,
        *,
        output_layer: bool = False,
    ) -> None:
        self.model_name = check_choice("model_name", model_name, MODEL_NAMES)
        self.power_s = check_choice("power_s", power_s, tuple(_FORMS))
        self.output_layer = check_boolean("output_layer", output_layer)
        self._potential, factor = _FORMS[self.power_s]
        super().__init__(
            factor * (_OUTPUT_FACTOR if self.output_layer else 1.0),
            power=self._potential.power,
            distance=self._potential.distance,
            half_space=model_name == "half_mhe" and not self.output_layer,
            epsilon=_NORM_EPSILON,
        )

    def term(
        self,
        x: Tensor,
        anchors: Tensor | None = None,
        others: Tensor | None = None,
    ) -> Tensor:
        """Returns the term of the kernel `x`."""
        return self.strength * energy_of(
            x, self.form, anchors, others, potential=self._potential
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return {
            "model_name": self.model_name,
            "power_s": self.power_s,
            "output_layer": self.output_layer,
        }

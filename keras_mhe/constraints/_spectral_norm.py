"""A bound on the spectral norm as a Keras constraint."""

from typing import Any

import keras

from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import (
    axes_config,
    check_axes,
    check_choice,
    check_real,
)
from keras_mhe.ops import limit_spectral_norm
from keras_mhe.ops._spectral.singular_values import MODES


@register("SpectralNorm")
class SpectralNorm(keras.constraints.Constraint):  # type: ignore[misc]
    """Keeps the largest singular value of a kernel at most at a bound.

    The optimizer projects the kernel after each update. Kernels within the
    bound are left alone. `keras_mhe.layers.SpectralNormalization` is the
    other form, which trains through the division.

    Args:
        max_value: Real number > 0, the bound. Defaults to `1.0`.
        mode: `"scale"` divides the whole kernel by one number; `"clip"`
            lowers only the singular values above the bound, which gives the
            nearest kernel within it. Defaults to `"scale"`.
        neuron_axis: Int or tuple of ints, the axes of the kernel that count
            its neurons, as for `keras_mhe.MHE`. The kernel counts as a matrix
            with a column for each neuron. Defaults to `-1`.

    Raises:
        ValueError: On construction, if an argument is outside its range; on
            the call, if the kernel does not have the axes.

    Call arguments:
        w: The kernel, a float tensor of rank 2 or more.

    Numerics:
        By a singular value decomposition in float32 at least, about
        `10 * m * n**2` operations after each update for a matrix with the
        sides `m >= n`: exact, without a state, and slow for wide layers. The
        bound holds up to rounding, a few 1e-6 of it in float32. Kernels with
        NaN or infinity are left as they are, and so are zeros.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> layer = keras.layers.Dense(
        ...     3, kernel_constraint=keras_mhe.constraints.SpectralNorm(0.5)
        ... )
        >>> layer.build((None, 4))
        >>> kernel = layer.kernel.constraint(layer.kernel + 1.0)
        >>> values = keras_mhe.ops.singular_values(kernel)
        >>> round(float(values[0]), 4)
        0.5

    References:
        Gouk et al., "Regularisation of Neural Networks by Enforcing Lipschitz
        Continuity", Machine Learning 2021, arXiv:1804.04368, section 3.2 (the
        form `"scale"`). Differs: exact norms in place of a power iteration,
        and of a convolution the norm of the reshaped kernel.
    """

    def __init__(
        self,
        max_value: float = 1.0,
        *,
        mode: str = "scale",
        neuron_axis: int | tuple[int, ...] = -1,
    ) -> None:
        self.max_value = check_real("max_value", max_value, above=0)
        self.mode = check_choice("mode", mode, MODES)
        self.neuron_axis = check_axes(neuron_axis)

    def __call__(self, w: Tensor) -> Tensor:
        """Returns the projected kernel, in the dtype of `w`."""
        return limit_spectral_norm(
            w, self.max_value, mode=self.mode, neuron_axis=self.neuron_axis
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return {
            "max_value": self.max_value,
            "mode": self.mode,
            "neuron_axis": axes_config(self.neuron_axis),
        }

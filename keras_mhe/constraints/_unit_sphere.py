"""Neurons of one length as a Keras constraint."""

from typing import Any

import keras

from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import axes_config, check_axes, check_real
from keras_mhe.ops import project_to_sphere


@register("UnitSphere")
class UnitSphere(keras.constraints.Constraint):  # type: ignore[misc]
    """Keeps every neuron at the same length.

    The optimizer scales the neurons after each update, and so only turns them.
    `keras.constraints.UnitNorm` does the same for the axes of a `Dense`
    kernel; this one knows the neurons of every kernel, as `keras_mhe.MHE`
    does, and is exact for lengths near the ends of the dtype's range.

    Args:
        radius: Real number > 0, the length. Defaults to `1.0`.
        neuron_axis: Int or tuple of ints, the axes of the kernel that count
            its neurons, as for `keras_mhe.MHE`. Defaults to `-1`.

    Raises:
        ValueError: On construction, if an argument is outside its range; on
            the call, if the kernel does not have the axes.

    Call arguments:
        w: The kernel, a float tensor of rank 2 or more.

    Numerics:
        The length is right up to rounding, a few 1e-7 of it in float32. A
        neuron of zeros, or with NaN or infinity, has no direction to scale
        along and stays as it is.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> layer = keras.layers.Dense(
        ...     3, kernel_constraint=keras_mhe.constraints.UnitSphere()
        ... )
        >>> layer.build((None, 4))
        >>> kernel = layer.kernel.constraint(layer.kernel)
        >>> norms = keras.ops.sqrt(keras.ops.sum(kernel * kernel, axis=0))
        >>> [round(float(norm), 4) for norm in norms]
        [1.0, 1.0, 1.0]
    """

    def __init__(
        self, radius: float = 1.0, *, neuron_axis: int | tuple[int, ...] = -1
    ) -> None:
        self.radius = check_real("radius", radius, above=0)
        self.neuron_axis = check_axes(neuron_axis)

    def __call__(self, w: Tensor) -> Tensor:
        """Returns the scaled kernel, in the dtype of `w`."""
        return project_to_sphere(w, self.radius, neuron_axis=self.neuron_axis)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return {
            "radius": self.radius,
            "neuron_axis": axes_config(self.neuron_axis),
        }

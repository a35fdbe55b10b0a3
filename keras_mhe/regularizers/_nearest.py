"""Relatives of MHE that look at each neuron's nearest one."""

from typing import Any

from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_block_size, check_boolean
from keras_mhe.ops import koleo, minimal_angles, separation
from keras_mhe.regularizers._relative import Relative


class _Nearest(Relative):
    """What they share: tiles, in which the nearest neurons are searched."""

    own: tuple[str, ...] = ("block_size",)

    def __init__(
        self,
        strength: float = 1.0,
        *,
        half_space: bool = False,
        neuron_axis: int | tuple[int, ...] = -1,
        groups: int = 1,
        block_size: int | str = "auto",
    ) -> None:
        super().__init__(strength, half_space, neuron_axis, groups)
        self.block_size = check_block_size(block_size)


@register("Separation")
class Separation(_Nearest):
    """Pushes each neuron away from its nearest one (MHS).

    Adds `-strength * separation(kernel, ...)` to the loss, which is at least
    `-4 * strength`.

    It has no `units="gap"`: the level of random neurons is a different integral
    for each number of living neurons.

    Args:
        strength: Real number >= 0. The published program has 0.1 for hidden
            layers, whose nearest pair it counts twice in half space, and 1
            for the classifier. Defaults to `1.0`.
        per_neuron: Bool. Whether each neuron is pushed from its nearest one,
            or, as published, the two nearest of all from each other. Defaults
            to `True`.
        half_space: As for `keras_mhe.MHE`. Defaults to `False`.
        neuron_axis: As for `keras_mhe.MHE`. Defaults to `-1`.
        groups: As for `keras_mhe.MHE`. Defaults to `1`.
        block_size: As for `keras_mhe.MHE`. Defaults to `"auto"`.

    Raises:
        ValueError: On construction, if an argument is outside its range; on
            the call, if the kernel does not have the axes or groups.

    Call arguments:
        x: The kernel, a float tensor of rank 2 or more.

    Example:
        >>> import keras
        >>> from keras_mhe.regularizers import Separation
        >>> round(float(Separation(0.1)(keras.ops.eye(3))), 4)
        -0.2

    References:
        Liu et al., "Learning with Hyperspherical Uniformity", AISTATS 2021,
        arXiv:2103.01649. See `keras_mhe.ops.separation`.
    """

    own = ("per_neuron", "block_size")

    def __init__(
        self,
        strength: float = 1.0,
        *,
        per_neuron: bool = True,
        half_space: bool = False,
        neuron_axis: int | tuple[int, ...] = -1,
        groups: int = 1,
        block_size: int | str = "auto",
    ) -> None:
        super().__init__(
            strength,
            half_space=half_space,
            neuron_axis=neuron_axis,
            groups=groups,
            block_size=block_size,
        )
        self.per_neuron = check_boolean("per_neuron", per_neuron)

    def value(self, x: Tensor, **arguments: Any) -> Tensor:
        """Returns minus the separation."""
        return -separation(x, **arguments)


@register("MinimalAngles")
class MinimalAngles(_Nearest):
    """Widens the angle of each neuron to its nearest one (MMA).

    Adds `-strength * minimal_angles(kernel, ...)` to the loss, in radians, so
    at least `-pi * strength`.

    It has no `units="gap"`: the level of random neurons is a different integral
    for each number of living neurons.

    Args:
        strength: Real number >= 0. The authors' default is 0.07, and 0.03 for
            networks with skip connections, in full space. Defaults to `1.0`.
        half_space: As for `keras_mhe.MHE`. Defaults to `False`.
        neuron_axis: As for `keras_mhe.MHE`. Defaults to `-1`.
        groups: As for `keras_mhe.MHE`. Defaults to `1`.
        block_size: As for `keras_mhe.MHE`. Defaults to `"auto"`.

    Raises:
        ValueError: On construction, if an argument is outside its range; on
            the call, if the kernel does not have the axes or groups.

    Call arguments:
        x: The kernel, a float tensor of rank 2 or more.

    Example:
        >>> import keras
        >>> from keras_mhe.regularizers import MinimalAngles
        >>> round(float(MinimalAngles(0.07)(keras.ops.eye(3))), 4)
        -0.11

    References:
        Wang et al., "MMA Regularization: Decorrelating Weights of Neural
        Networks by Maximizing the Minimal Angles", NeurIPS 2020,
        arXiv:2006.06527. See `keras_mhe.ops.minimal_angles`.
    """

    def value(self, x: Tensor, **arguments: Any) -> Tensor:
        """Returns minus the mean of the angles."""
        return -minimal_angles(x, **arguments)


@register("KoLeo")
class KoLeo(_Nearest):
    """Spreads features, or neurons, by the log distance to the nearest one.

    Adds `strength * koleo(kernel, ...)` to the loss. As an activity
    regularizer with `neuron_axis=0` it acts on the rows of a batch:
    `Dense(64, activity_regularizer=KoLeo(0.1 * 256, neuron_axis=0))` for
    batches of 256, since Keras divides the terms of activities by the size of
    the batch.

    It has no `units="gap"`: the level of random neurons is a different integral
    for each number of living neurons.

    Args:
        strength: Real number >= 0; DINOv2 has 0.1. Defaults to `1.0`.
        half_space: As for `keras_mhe.MHE`. Defaults to `False`.
        neuron_axis: As for `keras_mhe.MHE`. Defaults to `-1`.
        groups: As for `keras_mhe.MHE`. Defaults to `1`.
        block_size: As for `keras_mhe.MHE`. Defaults to `"auto"`.

    Raises:
        ValueError: On construction, if an argument is outside its range; on
            the call, if the kernel does not have the axes or groups.

    Call arguments:
        x: The kernel, or features, a float tensor of rank 2 or more.

    Example:
        >>> import keras
        >>> from keras_mhe.regularizers import KoLeo
        >>> round(float(KoLeo(0.1)(keras.ops.eye(3))), 4)
        -0.0347

    References:
        Sablayrolles et al., "Spreading vectors for similarity search", ICLR
        2019, arXiv:1806.03198; Oquab et al., "DINOv2", arXiv:2304.07193. See
        `keras_mhe.ops.koleo`.
    """

    def value(self, x: Tensor, **arguments: Any) -> Tensor:
        """Returns minus the mean logarithm, low for what is well spread."""
        return koleo(x, **arguments)

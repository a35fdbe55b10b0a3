"""Relatives of MHE that look at the distances of all pairs of neurons."""

from typing import Any

from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_block_size, check_choice, check_real
from keras_mhe.ops import gram_log_determinant, uniformity
from keras_mhe.ops._pairs.form import UNITS
from keras_mhe.ops._relatives.gaussian import GaussianPotential
from keras_mhe.regularizers._relative import Relative


@register("GramDeterminant")
class GramDeterminant(Relative):
    """Widens the volume that the neurons span (MGD).

    Adds `-strength * gram_log_determinant(kernel, ...)` to the loss. It has no
    `units="gap"`: the mean logarithm of random neurons has no closed form.

    Args:
        strength: Real number >= 0. The published program does not divide by
            the number of neurons. Its 0.01 for hidden layers, in half space,
            is here 0.02 times their number, and its 0.1 for the classifier
            0.1 times its number. Defaults to `1.0`.
        precision: Real number > 0, the factor of the squared distance in the
            Gaussian kernel. Defaults to `1.0`.
        epsilon: Real number > 0, added to each eigenvalue. Defaults to `1e-6`.
        half_space: As for `keras_mhe.MHE`. Defaults to `False`.
        neuron_axis: As for `keras_mhe.MHE`. Defaults to `-1`.
        groups: As for `keras_mhe.MHE`. Defaults to `1`.

    Raises:
        ValueError: On construction, if an argument is outside its range; on
            the call, if the kernel does not have the axes or groups.

    Call arguments:
        x: The kernel, a float tensor of rank 2 or more.

    Example:
        >>> import keras
        >>> from keras_mhe.regularizers import GramDeterminant
        >>> spread = GramDeterminant(1.0)(keras.ops.eye(3))
        >>> equal = GramDeterminant(1.0)(keras.ops.ones((3, 3)))
        >>> bool(spread < equal)
        True

    References:
        Liu et al., "Learning with Hyperspherical Uniformity", AISTATS 2021,
        arXiv:2103.01649. See `keras_mhe.ops.gram_log_determinant`.
    """

    own = ("precision", "epsilon")

    def __init__(
        self,
        strength: float = 1.0,
        *,
        precision: float = 1.0,
        epsilon: float = 1e-6,
        half_space: bool = False,
        neuron_axis: int | tuple[int, ...] = -1,
        groups: int = 1,
    ) -> None:
        super().__init__(strength, half_space, neuron_axis, groups)
        self.precision = check_real("precision", precision, above=0)
        self.epsilon = check_real("epsilon", epsilon, above=0)

    def value(self, x: Tensor, **arguments: Any) -> Tensor:
        """Returns minus the logarithm of the determinant."""
        return -gram_log_determinant(x, **arguments)


@register("Uniformity")
class Uniformity(Relative):
    """Spreads neurons, or the features of a batch, by a Gaussian potential.

    Adds `strength * uniformity(kernel, ...)` to the loss. As an activity
    regularizer with `neuron_axis=0` it is the loss of Wang and Isola on the
    rows of a batch: `Dense(64, activity_regularizer=Uniformity(256.0,
    neuron_axis=0))` for batches of 256, since Keras divides the terms of
    activities by the size of the batch.

    Args:
        strength: Real number >= 0. Defaults to `1.0`.
        precision: Real number in (0, 20], the `t` of the paper. Defaults to
            `2.0`.
        half_space: As for `keras_mhe.MHE`. Defaults to `False`.
        neuron_axis: As for `keras_mhe.MHE`. Defaults to `-1`.
        groups: As for `keras_mhe.MHE`. Defaults to `1`.
        block_size: As for `keras_mhe.MHE`. Defaults to `"auto"`.
        units: `"energy"`, the logarithm itself, or `"gap"`, as for
            `keras_mhe.MHE`. Defaults to `"energy"`.

    Raises:
        ValueError: On construction, if an argument is outside its range; on
            the call, if the kernel does not have the axes or groups, or for
            gaps if its neurons have one entry.

    Call arguments:
        x: The kernel, or features, a float tensor of rank 2 or more.

    Example:
        >>> import keras
        >>> from keras_mhe.regularizers import Uniformity
        >>> round(float(Uniformity(1.0)(keras.ops.eye(3))), 4)
        -4.0

    References:
        Wang and Isola, "Understanding Contrastive Representation Learning
        through Alignment and Uniformity on the Hypersphere", ICML 2020,
        arXiv:2005.10242. See `keras_mhe.ops.uniformity`.
    """

    own = ("precision", "block_size", "units")

    def __init__(
        self,
        strength: float = 1.0,
        *,
        precision: float = 2.0,
        half_space: bool = False,
        neuron_axis: int | tuple[int, ...] = -1,
        groups: int = 1,
        block_size: int | str = "auto",
        units: str = "energy",
    ) -> None:
        super().__init__(strength, half_space, neuron_axis, groups)
        self.precision = GaussianPotential(precision).precision
        self.block_size = check_block_size(block_size)
        self.units = check_choice("units", units, UNITS)

    def value(self, x: Tensor, **arguments: Any) -> Tensor:
        """Returns the uniformity, low for what is well spread."""
        return uniformity(x, **arguments)

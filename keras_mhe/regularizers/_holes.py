"""Relatives of MHE that look at the holes between neurons."""

from typing import Any

from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_integer
from keras_mhe.ops import covering, polarization
from keras_mhe.ops._pairs.potentials import Potential
from keras_mhe.ops._relatives.gaussian import GaussianPotential
from keras_mhe.regularizers._relative import Relative


class _Holes(Relative):
    """What both share: where holes are searched."""

    def _search(self, starts: int, steps: int) -> None:
        self.starts = check_integer("starts", starts, at_least=1)
        self.steps = check_integer("steps", steps, at_least=0)


@register("Polarization")
class Polarization(_Holes):
    """Raises the potential where it is lowest (MHP).

    Adds `-strength * polarization(kernel, ...)` to the loss.

    **Fewer neurons than dimensions leave a direction that is orthogonal to
    all of them**, with the potential `f(0)` wherever they are. In half space
    that is the lowest, so there the term is a constant; it is meant for more
    neurons than dimensions.

    It has no `units="gap"`: holes among random neurons have no level in closed
    form.

    Args:
        strength: Real number >= 0. The published program has 1 for hidden
            layers (in half space) and 10 for the classifier. Defaults to
            `1.0`.
        power: As for `keras_mhe.MHE`. Defaults to `2`.
        distance: As for `keras_mhe.MHE`. Defaults to `"euclidean"`.
        starts: Int >= 1, directions from which holes are searched. Defaults
            to `16`.
        steps: Int >= 0, iterations of the search, see
            `keras_mhe.ops.polarization`. Defaults to `20`.
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
        >>> from keras_mhe.regularizers import Polarization
        >>> term = Polarization(1.0)(keras.ops.array([[1.0, -1.0], [0, 0]]))
        >>> round(float(term), 3)
        -0.5

    References:
        Liu et al., "Learning with Hyperspherical Uniformity", AISTATS 2021,
        arXiv:2103.01649. See `keras_mhe.ops.polarization`.
    """

    own = ("power", "distance", "starts", "steps")

    def __init__(
        self,
        strength: float = 1.0,
        *,
        power: float = 2,
        distance: str = "euclidean",
        starts: int = 16,
        steps: int = 20,
        half_space: bool = False,
        neuron_axis: int | tuple[int, ...] = -1,
        groups: int = 1,
    ) -> None:
        super().__init__(strength, half_space, neuron_axis, groups)
        potential = Potential(power=power, distance=distance)
        self.power, self.distance = potential.power, potential.distance
        self._search(starts, steps)

    def value(self, x: Tensor, **arguments: Any) -> Tensor:
        """Returns minus the polarization."""
        return -polarization(x, **arguments)


@register("Covering")
class Covering(_Holes):
    """Brings neurons nearer to the direction that is farthest from all (MHC).

    Adds `strength * covering(kernel, ...)` to the loss, which is at most
    `4 * strength`.

    **Fewer neurons than dimensions leave a direction that is orthogonal to
    all of them**, at the squared distance 2 wherever they are. In half space
    no hole is larger, so there the term is a constant; it is meant for more
    neurons than dimensions.

    It has no `units="gap"`: holes among random neurons have no level in closed
    form.

    Args:
        strength: Real number >= 0. The published program has 0.01 for hidden
            layers (in half space) and 0.1 for the classifier. Defaults to
            `1.0`.
        precision: Real number in (0, 20], of the soft minimum. Defaults to
            `10.0`.
        starts: Int >= 1, directions from which holes are searched. Defaults
            to `16`.
        steps: Int >= 0, iterations of the search, see
            `keras_mhe.ops.polarization`. Defaults to `20`.
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
        >>> from keras_mhe.regularizers import Covering
        >>> term = Covering(1.0)(keras.ops.array([[1.0, -1.0], [0, 0]]))
        >>> round(float(term), 3)
        2.0

    References:
        Liu et al., "Learning with Hyperspherical Uniformity", AISTATS 2021,
        arXiv:2103.01649. See `keras_mhe.ops.covering`.
    """

    own = ("precision", "starts", "steps")

    def __init__(
        self,
        strength: float = 1.0,
        *,
        precision: float = 10.0,
        starts: int = 16,
        steps: int = 20,
        half_space: bool = False,
        neuron_axis: int | tuple[int, ...] = -1,
        groups: int = 1,
    ) -> None:
        super().__init__(strength, half_space, neuron_axis, groups)
        self.precision = GaussianPotential(precision).precision
        self._search(starts, steps)

    def value(self, x: Tensor, **arguments: Any) -> Tensor:
        """Returns the covering."""
        return covering(x, **arguments)

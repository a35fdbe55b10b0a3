"""What `callbacks.StrengthSchedule` puts on a weight for a training."""

from typing import Any

from keras_mhe._typing import Tensor
from keras_mhe.regularizers._sum import Composite, value_of


class ScheduledRegularizer(Composite):
    """A regularizer whose terms of this library are multiplied by a factor.

    It stands on a variable in the place of its regularizer, which other
    models may share. Layers keep theirs, which is saved.

    Args:
        regularizer: A Keras regularizer.

    Attributes:
        factor: Float, 1 at first.
    """

    def __init__(self, regularizer: Any) -> None:
        self.regularizers = [regularizer]
        self.factor = 1.0

    @property
    def regularizer(self) -> Any:
        """What stands on the variable otherwise."""
        return self.regularizers[0]

    def scaled(self, x: Tensor, factor: float) -> Tensor:
        """Returns the regularizer's value, with the factor's effect."""
        return value_of(self.regularizer, x, factor * self.factor)


def unscheduled(regularizer: Any) -> Any:
    """Returns a regularizer without the factor of a training."""
    if isinstance(regularizer, ScheduledRegularizer):
        return regularizer.regularizer
    return regularizer

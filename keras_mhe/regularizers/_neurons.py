"""What MHE and its relatives share: they are about the neurons of a kernel."""

import warnings
from typing import Any
from weakref import WeakValueDictionary

import keras
from keras import ops

from keras_mhe import _numerics
from keras_mhe._neurons.computed import is_factor
from keras_mhe._typing import KerasObject, Tensor
from keras_mhe.regularizers._sum import SummableRegularizer

#: The factors of LoRA that a regularizer was called with, by their `id`.
_seen_factors: WeakValueDictionary[int, KerasObject] = WeakValueDictionary()


class NeuronRegularizer(SummableRegularizer):
    """Base class of terms that compare the neurons of a kernel.

    The factors of LoRA have no neurons, so there the term is 0, with a
    warning. `keras_mhe.regularize` puts it on the weight that they change.
    """

    _has_warned = False

    def scaled(self, x: Tensor, factor: float, **arguments: Any) -> Tensor:
        """Returns `factor` times the term of the kernel `x`."""
        if _stands_for_factor(x):
            return self.left_out(
                x,
                "the factors of LoRA have no neurons. Use "
                "`keras_mhe.regularize(model, ...)` in place of the layer's "
                "argument, and again after loading: it puts the term on "
                "W + scale * A B.",
            )
        return factor * self.term(x, **arguments)

    def term(self, x: Tensor) -> Tensor:
        """Returns the term of the kernel `x`."""
        raise NotImplementedError

    def has_gap(self, dim: int) -> bool:
        """Returns whether neurons of `dim` entries have a gap."""
        return dim > 1

    def left_out(self, x: Tensor, reason: str) -> Tensor:
        """Returns 0 in place of the term, and warns the first time."""
        if not self._has_warned:
            self._has_warned = True
            message = f"{type(self).__name__} adds no term: {reason}"
            warnings.warn(message, stacklevel=2)
        return ops.zeros((), _numerics.computation_dtype(x))


def _stands_for_factor(x: Tensor) -> bool:
    """Whether `x` is a factor of LoRA, or its value.

    Keras hands over the variable, except in the compiled step of JAX, which
    it traces with values after it has called the loss with the variables.
    """
    if isinstance(x, keras.Variable):
        if is_factor(x):
            _seen_factors[id(x)] = x
            return True
        return False
    return any(factor.value is x for factor in _seen_factors.values())

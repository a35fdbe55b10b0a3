"""Several regularizers on one weight: `MHE(1.0) + L2(5e-4)`."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._registration import register
from keras_mhe._typing import Tensor


class SummableRegularizer(keras.regularizers.Regularizer):  # type: ignore[misc]
    """Base class of regularizers that can stand on either side of a `+`."""

    def __add__(self, other: Any) -> "RegularizerSum":
        if not _is_regularizer(other):
            return NotImplemented
        return RegularizerSum([self, other])

    def __radd__(self, other: Any) -> "SummableRegularizer":
        if isinstance(other, int) and other == 0:  # The start of `sum(...)`.
            return self
        if not _is_regularizer(other):
            return NotImplemented
        return RegularizerSum([other, self])

    def __call__(self, x: Tensor) -> Tensor:
        """Returns the value at the weight `x`.

        float32 (float64 for float64 weights; on TensorFlow the process's
        float dtype, if that is a shorter one, in which Keras adds losses).
        """
        return _backend.loss_summand(self.scaled(x, 1.0))

    def scaled(self, x: Tensor, factor: float) -> Tensor:
        """Returns the value, with this library's terms times `factor`."""
        raise NotImplementedError


class Composite(SummableRegularizer):
    """Base class of regularizers that are made of others.

    Attributes:
        regularizers: Sequence of these; `None` counts as none.
    """

    regularizers: Sequence[Any]


def value_of(regularizer: Any, x: Tensor, factor: float) -> Tensor:
    """Returns a regularizer's value, its terms of this library scaled.

    Args:
        regularizer: A Keras regularizer.
        x: The weight.
        factor: Float that multiplies the terms of this library only.
    """
    if isinstance(regularizer, SummableRegularizer):
        return regularizer.scaled(x, factor)
    return regularizer(x)


def summed(x: Tensor, values: Sequence[Tensor]) -> Tensor:
    """Returns a sum of values at a weight `x`, in one float dtype.

    A term may answer in the weight's float16.
    """
    dtype = _numerics.computation_dtype(x)
    cast = [ops.cast(value, dtype) for value in values]
    return sum(cast) if cast else ops.zeros((), dtype)


@register("RegularizerSum")
class RegularizerSum(Composite):
    """Sum of regularizers, made by `+`.

    Any sum in which one term is of this library works, in either order; its
    terms are kept in one flat list. It saves and loads like its terms.

    Args:
        regularizers: Sequence of two or more Keras regularizers, names of
            Keras regularizers such as `"l2"`, or callables that map a tensor
            to a scalar.

    Raises:
        ValueError: If `regularizers` has fewer than two terms or holds
            something that is not a regularizer.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> total = keras_mhe.MHE(1.0) + keras.regularizers.L2(5e-4)
        >>> [type(term).__name__ for term in total.regularizers]
        ['MHE', 'L2']
    """

    def __init__(self, regularizers: Sequence[Any]) -> None:
        terms: list[Callable[[Tensor], Tensor]] = []
        for regularizer in regularizers:
            term = keras.regularizers.get(regularizer)
            if not callable(term):
                raise ValueError(
                    "`regularizers` must hold Keras regularizers. "
                    f"Received: {regularizer!r}."
                )
            flat = isinstance(term, RegularizerSum)
            terms.extend(term.regularizers if flat else [term])
        if len(terms) < 2:
            raise ValueError(
                "`regularizers` must hold at least two regularizers. "
                f"Received: regularizers={regularizers!r}."
            )
        self.regularizers = terms

    def scaled(self, x: Tensor, factor: float) -> Tensor:
        """Returns the sum of the terms at the weight `x`."""
        return summed(
            x, [value_of(term, x, factor) for term in self.regularizers]
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the serialised terms."""
        return {
            "regularizers": [
                keras.saving.serialize_keras_object(term)
                for term in self.regularizers
            ]
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "RegularizerSum":
        """Returns the sum that `get_config` described."""
        return cls(
            [
                keras.saving.deserialize_keras_object(term)
                for term in config["regularizers"]
            ]
        )


def _is_regularizer(candidate: Any) -> bool:
    return isinstance(candidate, str) or callable(candidate)

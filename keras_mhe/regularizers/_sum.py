"""Several regularizers on one weight: `MHE(1.0) + L2(5e-4)`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import keras
from keras import ops

from keras_mhe._registration import register
from keras_mhe._typing import Tensor

Kind = TypeVar("Kind")


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


class ScheduledRegularizer(SummableRegularizer):
    """Base class of what `callbacks.StrengthSchedule` can change.

    Attributes:
        schedule_factor: Float that multiplies the value; it belongs to a
            training and is not saved.
    """

    schedule_factor = 1.0


@register("RegularizerSum")
class RegularizerSum(SummableRegularizer):
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

    def __call__(self, x: Tensor) -> Tensor:
        """Returns the float32 sum of the terms at the weight `x`."""
        # One float dtype, because a term may answer in the weight's float16.
        dtype = keras.backend.standardize_dtype(x.dtype)
        dtype = "float64" if dtype == "float64" else "float32"
        return sum(ops.cast(term(x), dtype) for term in self.regularizers)

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


@register("AddedRegularizer")
class AddedRegularizer(SummableRegularizer):
    """A regularizer that `regularize` put on a weight, beside an older one.

    It saves and loads like its terms, so `unregularize` finds it in a loaded
    model too.

    Args:
        before: The Keras regularizer that the weight had, or `None`.
        added: The Keras regularizer that was added.

    Raises:
        ValueError: If `added` is no regularizer.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> from keras_mhe.regularizers import AddedRegularizer
        >>> both = AddedRegularizer(keras.regularizers.L2(), keras_mhe.MHE())
        >>> type(both.before).__name__, type(both.added).__name__
        ('L2', 'MHE')
    """

    def __init__(self, before: Any, added: Any) -> None:
        self.before = keras.regularizers.get(before)
        self.added = keras.regularizers.get(added)
        if not callable(self.added):
            raise ValueError(
                "`added` must be a Keras regularizer. "
                f"Received: added={added!r}."
            )

    def __call__(self, x: Tensor) -> Tensor:
        """Returns the sum of both at the weight `x`."""
        if self.before is None:
            return self.added(x)
        return RegularizerSum([self.before, self.added])(x)

    def get_config(self) -> dict[str, Any]:
        """Returns both, serialised."""
        return {
            name: keras.saving.serialize_keras_object(term)
            for name, term in (("before", self.before), ("added", self.added))
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AddedRegularizer":
        """Returns the regularizer that `get_config` described."""
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(term)
                for name, term in config.items()
            }
        )


def terms_of(regularizer: Any) -> Iterator[Any]:
    """Yields the terms of a sum or of what was added; else itself.

    Args:
        regularizer: A Keras regularizer, or `None`, which has no terms.
    """
    if isinstance(regularizer, RegularizerSum):
        inner = regularizer.regularizers
    elif isinstance(regularizer, AddedRegularizer):
        inner = [regularizer.before, regularizer.added]
    else:
        if regularizer is not None:
            yield regularizer
        return
    for term in inner:
        yield from terms_of(term)


def terms_in(model: Any, kind: type[Kind]) -> list[Kind]:
    """Returns the terms of a kind on a model's trainable weights, each once."""
    found = {
        id(term): term
        for variable in model.trainable_variables
        for term in terms_of(variable.regularizer)
        if isinstance(term, kind)
    }
    return list(found.values())


def _is_regularizer(candidate: Any) -> bool:
    return isinstance(candidate, str) or callable(candidate)

"""The terms of sums, and where a model has them."""

from collections.abc import Iterator
from typing import Any, TypeVar

from keras_mhe.regularizers._added import AddedRegularizer
from keras_mhe.regularizers._sum import RegularizerSum

Kind = TypeVar("Kind")


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

"""The terms of sums, and where a model has them."""

from collections.abc import Iterator
from typing import Any, TypeVar

from keras_mhe.regularizers._neurons import NeuronRegularizer
from keras_mhe.regularizers._sum import Composite

Kind = TypeVar("Kind")


def terms_of(regularizer: Any) -> Iterator[Any]:
    """Yields the terms of a sum or of what was added; else itself.

    Args:
        regularizer: A Keras regularizer, or `None`, which has no terms.
    """
    if isinstance(regularizer, Composite):
        for term in regularizer.regularizers:
            yield from terms_of(term)
    elif regularizer is not None:
        yield regularizer


def neuron_terms_of(regularizer: Any) -> list[NeuronRegularizer]:
    """Returns the terms that are MHE or its relatives."""
    terms = terms_of(regularizer)
    return [term for term in terms if isinstance(term, NeuronRegularizer)]


def terms_in(model: Any, kind: type[Kind]) -> list[Kind]:
    """Returns the terms of a kind on a model's trainable weights, each once."""
    found = {
        id(term): term
        for variable in model.trainable_variables
        for term in terms_of(variable.regularizer)
        if isinstance(term, kind)
    }
    return list(found.values())

"""What `regularize` put on a weight, beside what was there before."""

from typing import Any

import keras

from keras_mhe._neurons.computed import (
    adapted_path,
    computed_weight,
    has_known_weight,
    trained_weights,
)
from keras_mhe._registration import register
from keras_mhe._typing import KerasObject, Tensor
from keras_mhe.regularizers._neurons import NeuronRegularizer
from keras_mhe.regularizers._sum import Composite, summed, value_of
from keras_mhe.regularizers._terms import neuron_terms_of, terms_of


@register("AddedRegularizer")
class AddedRegularizer(Composite):
    """A regularizer that `regularize` put on a weight, beside an older one.

    It saves and loads like its terms, so `unregularize` finds it in a loaded
    model too.

    It knows its layer, which Keras does not tell a regularizer. If the layer
    has LoRA, MHE and its relatives act on `W + scale * A B`, once, and all
    other terms on each factor, as Keras has it.

    Args:
        before: The Keras regularizer that the weight had, or `None`.
        added: The Keras regularizer that was added.
        layer: The Keras layer of the weight, or `None`; it is not saved.
            Defaults to `None`.

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

    def __init__(
        self, before: Any, added: Any, layer: KerasObject = None
    ) -> None:
        self.before = keras.regularizers.get(before)
        self.added = keras.regularizers.get(added)
        if not callable(self.added):
            raise ValueError(
                "`added` must be a Keras regularizer. "
                f"Received: added={added!r}."
            )
        self.regularizers = [self.before, self.added]
        self.layer = layer

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy belongs to no layer, like a loaded one.
        return type(self), (self.before, self.added)

    def scaled(self, x: Tensor, factor: float) -> Tensor:
        """Returns the sum of both at the weight `x`."""
        terms = list(terms_of(self))
        weights = [] if self.layer is None else trained_weights(self.layer)
        if not any(x is weight or x is weight.value for weight in weights):
            return summed(x, [value_of(term, x, factor) for term in terms])
        values = [
            term(x) for term in terms if not isinstance(term, NeuronRegularizer)
        ]
        # Keras calls it once for each of these weights.
        if x is weights[0] or x is weights[0].value:
            values += self._of_layer(x, factor)
        return summed(x, values)

    def _of_layer(self, x: Tensor, factor: float) -> list[Tensor]:
        """Neuron terms, of the weight that the layer computes with."""
        terms = neuron_terms_of(self)
        if has_known_weight(self.layer):
            kernel = computed_weight(self.layer, adapted_path(self.layer))
            return [term.scaled(kernel, factor) for term in terms]
        mode = self.layer.quantization_mode
        reason = f"the weight of a layer with LoRA and {mode} is not known."
        return [term.left_out(x, reason) for term in terms]

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

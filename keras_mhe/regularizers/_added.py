"""What `regularize` put on a weight, beside what was there before."""

from typing import Any

import keras

from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe.regularizers._sum import RegularizerSum, SummableRegularizer


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

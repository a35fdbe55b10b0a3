"""One decorator for classes that Keras saves, and what they read like."""

from collections.abc import Callable
from typing import TypeVar

import keras

from keras_mhe._repr import call_of

Class = TypeVar("Class", bound=type)

#: Saved files name this package, wherever the class moves in the source.
PACKAGE = "keras_mhe"


def register(name: str) -> Callable[[Class], Class]:
    """Registers a class for saving as `keras_mhe>name`.

    It loads without `custom_objects`, and reads like the call that makes it.
    """

    def decorate(cls: Class) -> Class:
        cls.__repr__ = call_of  # type: ignore[assignment]
        registered: Class = keras.saving.register_keras_serializable(
            package=PACKAGE, name=name
        )(cls)
        return registered

    return decorate

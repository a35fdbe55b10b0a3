"""One decorator that makes a class loadable without `custom_objects`."""

from collections.abc import Callable
from typing import TypeVar

import keras

Class = TypeVar("Class", bound=type)

#: Saved files name this package, wherever the class moves in the source.
PACKAGE = "keras_mhe"


def register(name: str) -> Callable[[Class], Class]:
    """Registers a class for saving as `keras_mhe>name`."""

    def decorate(cls: Class) -> Class:
        registered: Class = keras.saving.register_keras_serializable(
            package=PACKAGE, name=name
        )(cls)
        return registered

    return decorate

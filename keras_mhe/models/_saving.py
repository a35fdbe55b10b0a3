"""Whether a model's configuration carries what was put on its kernels."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras

from keras_mhe._neurons.places import Place
from keras_mhe._typing import KerasObject
from keras_mhe.models._adaptation import held, hold
from keras_mhe.regularizers._terms import neuron_terms_of


class Mark(keras.regularizers.Regularizer):  # type: ignore[misc]
    """Stands in a layer for its regularizer while a configuration is made."""

    def __init__(self, number: int) -> None:
        self.number = number

    def get_config(self) -> dict[str, Any]:
        """Returns the number."""
        return {"number": self.number}


def are_saved(model: KerasObject, chosen: Sequence[Place]) -> list[bool | None]:
    """Tells for each place whether saving keeps what `regularize` put there.

    The layers hold numbered marks while the model's configuration is made,
    from which Keras would load it; marks that are not in it are lost. Keras
    must be able to load the regularizer itself, too, and to a loaded one
    nobody tells its layer, which MHE on LoRA needs.

    Args:
        model: A Keras model.
        chosen: Places where `regularize` put something.

    Returns:
        A list of bools; of `None` if the model has no configuration.
    """
    before = [held(place) for place in chosen]
    try:
        for number, place in enumerate(chosen):
            hold(place, Mark(number))
        config = keras.saving.serialize_keras_object(model)
    except Exception:
        # A class without a configuration may raise whatever it likes.
        return [None] * len(chosen)
    finally:
        for place, regularizer in zip(chosen, before, strict=True):
            hold(place, regularizer)
    found = set(_numbers(config))
    return [
        number in found
        and _can_be_loaded(regularizer)
        and not (place.has_lora and neuron_terms_of(regularizer))
        for number, (place, regularizer) in enumerate(
            zip(chosen, before, strict=True)
        )
    ]


def _numbers(config: Any) -> Iterator[int]:
    if isinstance(config, dict):
        if config.get("class_name") == Mark.__name__:
            yield config["config"]["number"]
        for value in config.values():
            yield from _numbers(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _numbers(value)


def _can_be_loaded(regularizer: KerasObject) -> bool:
    try:
        config = keras.saving.serialize_keras_object(regularizer)
        loaded = keras.saving.deserialize_keras_object(config)
    except Exception:
        # As above, of a regularizer that is a function of one's own.
        return False
    return callable(loaded)

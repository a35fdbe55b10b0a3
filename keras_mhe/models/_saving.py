"""Whether a model's configuration carries what was put on its kernels."""

import random
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import keras

from keras_mhe._typing import KerasObject
from keras_mhe.analysis._layers import named_layers
from keras_mhe.regularizers import AddedRegularizer


def survives_saving(
    model: KerasObject,
) -> Callable[[str, str], bool | None]:
    """Rebuilds a model from its configuration, without weights, and looks.

    Args:
        model: A Keras model.

    Returns:
        A function of a layer's name, as from `named_layers`, and of the
        attribute that holds its regularizer, that tells whether the rebuilt
        model has what `regularize` put there; `None` if the model could not
        be rebuilt.
    """
    rebuilt = _rebuilt(model)
    if rebuilt is None:
        return lambda name, attribute: None
    layers = dict(named_layers(rebuilt))

    def survives(name: str, attribute: str) -> bool:
        layer = layers.get(name)
        return layer is not None and isinstance(
            attrgetter(attribute)(layer), AddedRegularizer
        )

    return survives


def _rebuilt(model: KerasObject) -> KerasObject | None:
    state = random.getstate()
    try:
        with keras.StatelessScope(initialize_variables=False):
            config = keras.saving.serialize_keras_object(model)
            # This model's own code, which is in memory already.
            return keras.saving.deserialize_keras_object(
                _without_training(config), safe_mode=False
            )
    except Exception:
        # A class that cannot be rebuilt may raise whatever it likes.
        return None
    finally:
        # Layers with random numbers take their seeds from it.
        random.setstate(state)


def _without_training(config: Any) -> Any:
    """A configuration without optimizers, which have variables at once."""
    if isinstance(config, dict):
        return {
            key: _without_training(value)
            for key, value in config.items()
            if key != "compile_config"
        }
    if isinstance(config, list | tuple):
        return type(config)(_without_training(value) for value in config)
    return config

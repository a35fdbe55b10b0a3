"""Which weights of a layer are neurons, and where a model has them."""

from keras_mhe._neurons import keras_layers

__all__ = ["keras_layers"]

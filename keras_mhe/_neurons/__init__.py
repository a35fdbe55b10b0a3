"""Which weights of a layer are neurons, and where a model has them.

`registry` says it for each class of layers, `keras_layers` fills in those of
Keras, `computed` are the values that a layer computes with, `walk` finds the
layers of a model, `kernels` their kernels, `outputs` the last ones.
"""

from keras_mhe._neurons import keras_layers

__all__ = ["keras_layers"]

"""Which weights of a layer are neurons, and where a model has them.

`registry` says it for each class of layers, and `keras_layers` fills in those
of Keras. `walk` finds the layers of a model, `places` where they keep kernels
or why they have none, `kernels` those that hold neurons, each a `kernel`, and
`outputs` the last ones. `computed` has the values that a layer computes with.
"""

from keras_mhe._neurons import keras_layers

__all__ = ["keras_layers"]

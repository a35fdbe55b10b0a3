"""Minimum Hyperspherical Energy for Keras 3: neurons that stay diverse."""

from keras_mhe import (
    analysis,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    plots,
    regularizers,
)
from keras_mhe.analysis import audit, register_neurons
from keras_mhe.models import regularize, unregularize
from keras_mhe.regularizers import MHE

__version__ = "0.1.0"

__all__ = [
    "MHE",
    "__version__",
    "analysis",
    "audit",
    "callbacks",
    "constraints",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "plots",
    "register_neurons",
    "regularize",
    "regularizers",
    "unregularize",
]

"""Minimum Hyperspherical Energy for Keras 3: neurons that stay diverse."""

from keras_mhe import (
    analysis,
    callbacks,
    constraints,
    functional,
    initializers,
    layers,
    losses,
    metrics,
    regularizers,
)
from keras_mhe.regularizers import MHE

__version__ = "0.1.0"

__all__ = [
    "MHE",
    "__version__",
    "analysis",
    "callbacks",
    "constraints",
    "functional",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "regularizers",
]

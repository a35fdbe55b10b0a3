"""Putting regularizers on models that exist already, and taking them off."""

from keras_mhe.models._regularize import regularize, unregularize
from keras_mhe.models._rows import RegularizedKernel, RegularizedKernels

__all__ = [
    "RegularizedKernel",
    "RegularizedKernels",
    "regularize",
    "unregularize",
]

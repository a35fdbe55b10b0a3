"""Putting regularizers on models that exist already, and taking them off."""

from keras_mhe.models._regularize import (
    RegularizedKernel,
    RegularizedKernels,
    regularize,
    unregularize,
)

__all__ = [
    "RegularizedKernel",
    "RegularizedKernels",
    "regularize",
    "unregularize",
]

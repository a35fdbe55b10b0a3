"""Pure functions of tensors: hyperspherical energy, cosines and margins."""

from keras_mhe.functional._energy import hyperspherical_energy
from keras_mhe.functional._logits import cosines, feature_norms
from keras_mhe.functional._margins import (
    additive_angular_margin,
    additive_cosine_margin,
    multiplicative_angular_margin,
    similarity_adjustment,
)

__all__ = [
    "additive_angular_margin",
    "additive_cosine_margin",
    "cosines",
    "feature_norms",
    "hyperspherical_energy",
    "multiplicative_angular_margin",
    "similarity_adjustment",
]

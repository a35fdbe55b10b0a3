"""Pure functions of tensors: hyperspherical energy, margins, spectral norm."""

from keras_mhe.functional._energy import hyperspherical_energy
from keras_mhe.functional._logits import cosines, feature_norms
from keras_mhe.functional._margins import (
    additive_angular_margin,
    additive_cosine_margin,
    multiplicative_angular_margin,
    similarity_adjustment,
)
from keras_mhe.functional._spectral import (
    limited_spectral_norm,
    power_iteration,
    rayleigh_quotient,
    singular_values,
)

__all__ = [
    "additive_angular_margin",
    "additive_cosine_margin",
    "cosines",
    "feature_norms",
    "hyperspherical_energy",
    "limited_spectral_norm",
    "multiplicative_angular_margin",
    "power_iteration",
    "rayleigh_quotient",
    "similarity_adjustment",
    "singular_values",
]

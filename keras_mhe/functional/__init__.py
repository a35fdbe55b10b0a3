"""Pure functions of tensors: hyperspherical energy, margins, spectral norm."""

from keras_mhe.functional._compressive import compressive_energy
from keras_mhe.functional._descent import lowered_energy
from keras_mhe.functional._determinant import gram_log_determinant
from keras_mhe.functional._energy import hyperspherical_energy
from keras_mhe.functional._energy_and_gradient import energy_and_gradient
from keras_mhe.functional._gap import hyperspherical_gap
from keras_mhe.functional._gaussian import uniformity
from keras_mhe.functional._holes import covering, polarization
from keras_mhe.functional._logits import cosines, feature_norms
from keras_mhe.functional._margins import (
    additive_angular_margin,
    additive_cosine_margin,
    multiplicative_angular_margin,
    similarity_adjustment,
)
from keras_mhe.functional._separation import separation
from keras_mhe.functional._spectral import (
    limited_spectral_norm,
    power_iteration,
    rayleigh_quotient,
    singular_values,
)
from keras_mhe.functional._spheres import on_sphere

__all__ = [
    "additive_angular_margin",
    "additive_cosine_margin",
    "compressive_energy",
    "cosines",
    "covering",
    "energy_and_gradient",
    "feature_norms",
    "gram_log_determinant",
    "hyperspherical_energy",
    "hyperspherical_gap",
    "limited_spectral_norm",
    "lowered_energy",
    "multiplicative_angular_margin",
    "on_sphere",
    "polarization",
    "power_iteration",
    "rayleigh_quotient",
    "separation",
    "similarity_adjustment",
    "singular_values",
    "uniformity",
]

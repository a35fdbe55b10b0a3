"""Pure functions of tensors: hyperspherical energy, margins, spectral norm."""

from keras_mhe.ops._energy.descent import lower_energy
from keras_mhe.ops._energy.energy import hyperspherical_energy
from keras_mhe.ops._energy.energy_and_gradient import energy_and_gradient
from keras_mhe.ops._energy.gap import hyperspherical_gap
from keras_mhe.ops._heads.logits import cosines, feature_norms
from keras_mhe.ops._heads.margins import (
    additive_angular_margin,
    additive_cosine_margin,
    multiplicative_angular_margin,
    similarity_adjustment,
)
from keras_mhe.ops._relatives.compressive import compressive_energy
from keras_mhe.ops._relatives.determinant import gram_log_determinant
from keras_mhe.ops._relatives.gaussian import uniformity
from keras_mhe.ops._relatives.holes import covering, polarization
from keras_mhe.ops._relatives.nearest import (
    koleo,
    minimal_angles,
    separation,
)
from keras_mhe.ops._spectral.power_iteration import (
    power_iteration,
    rayleigh_quotient,
)
from keras_mhe.ops._spectral.singular_values import (
    limit_spectral_norm,
    singular_values,
)
from keras_mhe.ops._spheres import project_to_sphere

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
    "koleo",
    "limit_spectral_norm",
    "lower_energy",
    "minimal_angles",
    "multiplicative_angular_margin",
    "polarization",
    "power_iteration",
    "project_to_sphere",
    "rayleigh_quotient",
    "separation",
    "similarity_adjustment",
    "singular_values",
    "uniformity",
]

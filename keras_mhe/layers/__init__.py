"""Keras layers: classifiers with an angular margin, spectral norm."""

from keras_mhe.layers._additive_margins import ArcFace, CosFace
from keras_mhe.layers._angular_margin import AngularMargin
from keras_mhe.layers._singular_vectors import held_singular_vectors
from keras_mhe.layers._spectral_normalization import SpectralNormalization
from keras_mhe.layers._sphereface import SphereFace, SphereFaceR
from keras_mhe.layers._sphereface2 import SphereFace2

__all__ = [
    "AngularMargin",
    "ArcFace",
    "CosFace",
    "SpectralNormalization",
    "SphereFace",
    "SphereFace2",
    "SphereFaceR",
    "held_singular_vectors",
]

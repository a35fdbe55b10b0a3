"""Keras layers: classifiers with an angular margin."""

from keras_mhe.layers._additive_margins import ArcFace, CosFace
from keras_mhe.layers._angular_margin import AngularMargin
from keras_mhe.layers._sphereface import SphereFace, SphereFaceR
from keras_mhe.layers._sphereface2 import SphereFace2

__all__ = [
    "AngularMargin",
    "ArcFace",
    "CosFace",
    "SphereFace",
    "SphereFace2",
    "SphereFaceR",
]

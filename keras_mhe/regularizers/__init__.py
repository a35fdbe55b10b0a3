"""Keras regularizers: MHE, its relatives, and sums of regularizers."""

from keras_mhe.regularizers._added import AddedRegularizer
from keras_mhe.regularizers._compressive import CompressiveMHE
from keras_mhe.regularizers._distances import GramDeterminant, Uniformity
from keras_mhe.regularizers._holes import Covering, Polarization
from keras_mhe.regularizers._mhe import MHE
from keras_mhe.regularizers._nearest import KoLeo, MinimalAngles, Separation
from keras_mhe.regularizers._published import PublishedMHE
from keras_mhe.regularizers._published_gan import PublishedGANMHE
from keras_mhe.regularizers._sum import RegularizerSum

__all__ = [
    "MHE",
    "AddedRegularizer",
    "CompressiveMHE",
    "Covering",
    "GramDeterminant",
    "KoLeo",
    "MinimalAngles",
    "Polarization",
    "PublishedGANMHE",
    "PublishedMHE",
    "RegularizerSum",
    "Separation",
    "Uniformity",
]

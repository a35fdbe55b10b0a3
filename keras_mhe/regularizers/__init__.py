"""Keras regularizers that lower the hyperspherical energy of a kernel."""

from keras_mhe.regularizers._mhe import MHE
from keras_mhe.regularizers._published import PublishedMHE
from keras_mhe.regularizers._published_gan import PublishedGANMHE
from keras_mhe.regularizers._sum import RegularizerSum

__all__ = ["MHE", "PublishedGANMHE", "PublishedMHE", "RegularizerSum"]

"""Keras constraints: projections of kernels after each update."""

from keras_mhe.constraints._spectral_norm import SpectralNorm

__all__ = ["SpectralNorm"]

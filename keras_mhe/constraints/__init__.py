"""Keras constraints: projections of kernels after each update."""

from keras_mhe.constraints._energy import EnergyDescent, MaxEnergy
from keras_mhe.constraints._spectral_norm import SpectralNorm
from keras_mhe.constraints._unit_sphere import UnitSphere

__all__ = ["EnergyDescent", "MaxEnergy", "SpectralNorm", "UnitSphere"]

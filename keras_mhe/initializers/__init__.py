"""Keras initializers: neurons that start well spread."""

from keras_mhe.initializers._minimum_energy import MinimumEnergy

__all__ = ["MinimumEnergy"]

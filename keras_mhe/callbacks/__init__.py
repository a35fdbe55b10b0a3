"""Keras callbacks that watch the energy of a model's layers."""

from keras_mhe.callbacks._energy_monitor import EnergyMonitor

__all__ = ["EnergyMonitor"]

"""Keras callbacks: energies in the logs, projections drawn anew."""

from keras_mhe.callbacks._energy_monitor import EnergyMonitor
from keras_mhe.callbacks._refresh_projections import RefreshProjections

__all__ = ["EnergyMonitor", "RefreshProjections"]

"""Keras callbacks: energies in the logs, strengths and projections."""

from keras_mhe.callbacks._energy_monitor import EnergyMonitor
from keras_mhe.callbacks._refresh_projections import RefreshProjections
from keras_mhe.callbacks._strength_schedule import StrengthSchedule

__all__ = ["EnergyMonitor", "RefreshProjections", "StrengthSchedule"]

"""Verification of pairs of embeddings, and the energy of features."""

from keras_mhe.metrics._feature_energy import FeatureEnergy
from keras_mhe.metrics._verification import Verification, verify_pairs

__all__ = ["FeatureEnergy", "Verification", "verify_pairs"]

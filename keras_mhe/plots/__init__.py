"""Pictures of neurons and energies; they need matplotlib."""

from keras_mhe.plots._changes import comparison, energies
from keras_mhe.plots._sphere import sphere

__all__ = ["comparison", "energies", "sphere"]

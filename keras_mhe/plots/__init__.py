"""Pictures of neurons and energies; they need matplotlib."""

from keras_mhe.plots._angles import angles
from keras_mhe.plots._changes import comparison, energies
from keras_mhe.plots._sphere import sphere

__all__ = ["angles", "comparison", "energies", "sphere"]

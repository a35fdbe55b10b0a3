"""Looking at whole models: kernels, their energies, and levels to compare."""

from keras_mhe.analysis._kernels import NeuronKernel, neuron_kernels
from keras_mhe.functional._levels import (
    energy_gap,
    minimum_energy,
    optimal_cosine,
    random_energy,
)

__all__ = [
    "NeuronKernel",
    "energy_gap",
    "minimum_energy",
    "neuron_kernels",
    "optimal_cosine",
    "random_energy",
]

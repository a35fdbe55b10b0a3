"""Looking at whole models: kernels, their energies, and levels to compare.

Levels and bounds are mathematics that constraints and initializers use too, so
they are at home in `ops`.
"""

from keras_mhe._neurons.kernel import NeuronKernel
from keras_mhe._neurons.kernels import neuron_kernels
from keras_mhe._neurons.registry import register_neurons
from keras_mhe.analysis._angles import optimal_angles, random_angle_density
from keras_mhe.analysis._audit import Audit, audit, audit_features
from keras_mhe.analysis._kernel_audit import KernelAudit
from keras_mhe.ops._levels.bounds import (
    EnergyBound,
    energy_bound,
    minimum_energy,
    optimal_cosine,
)
from keras_mhe.ops._levels.random import energy_gap, random_energy

__all__ = [
    "Audit",
    "EnergyBound",
    "KernelAudit",
    "NeuronKernel",
    "audit",
    "audit_features",
    "energy_bound",
    "energy_gap",
    "minimum_energy",
    "neuron_kernels",
    "optimal_angles",
    "optimal_cosine",
    "random_angle_density",
    "random_energy",
    "register_neurons",
]

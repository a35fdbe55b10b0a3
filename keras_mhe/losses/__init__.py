"""Keras losses for heads that an ordinary softmax loss does not fit."""

from keras_mhe.losses._one_vs_all import OneVsAllCrossentropy
from keras_mhe.losses._sampled import SampledCrossentropy

__all__ = ["OneVsAllCrossentropy", "SampledCrossentropy"]

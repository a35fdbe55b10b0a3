"""Pure functions of tensors: the mathematics of hyperspherical energy."""

from keras_mhe.functional._energy import hyperspherical_energy

__all__ = ["hyperspherical_energy"]

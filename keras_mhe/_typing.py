"""Type aliases used in signatures."""

from typing import Any

#: A tensor of the active Keras backend, a Keras variable or a NumPy array.
Tensor = Any

#: A model, layer or variable of Keras, which ships no type hints.
KerasObject = Any

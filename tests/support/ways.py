"""Ways in which Keras runs a training step: arguments of `compile`."""

import keras

from support.gradients import IS_THOROUGH

EAGER = {"run_eagerly": True, "jit_compile": False}

#: What the backend does by itself; and no graph, but on JAX, which compiles
#: each operation then, in thorough runs only.
WAYS = {"default": {}}
if keras.backend.backend() != "jax" or IS_THOROUGH:
    WAYS["eager"] = EAGER

#: With the compiler that `fit` takes only if it is told to. JAX takes it by
#: itself; PyTorch's needs minutes for the step of a network, so there one test
#: has it, of spectral normalization.
COMPILED_WAYS = dict(WAYS)
if keras.backend.backend() == "tensorflow":
    COMPILED_WAYS["compiled"] = {"jit_compile": True}

"""Values and gradients on the active backend, eager and compiled.

Frameworks are imported here and in few other files of this folder.
"""

import os
from contextlib import nullcontext
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

#: How a function can be evaluated on the active backend. `aot` compiles with
#: PyTorch, forward and backward, without making machine code of it; `dynamic`
#: does so for every size at once.
ALL_MODES = {
    "tensorflow": ("eager", "graph", "xla"),
    "jax": ("eager", "xla"),
    "torch": ("eager", "autocast", "aot", "dynamic"),
}[keras.backend.backend()]

#: Whether to run over whole grids: on PyTorch, which compiles nothing, and if
#: the variable is set. Otherwise over their corners.
IS_THOROUGH = (
    keras.backend.backend() == "torch" or "KERAS_MHE_THOROUGH" in os.environ
)

#: The modes of the many tests that also run eagerly.
MODES = {
    "tensorflow": ALL_MODES if IS_THOROUGH else ("xla",),
    "jax": ALL_MODES if IS_THOROUGH else ("xla",),
    "torch": ("eager",),
}[keras.backend.backend()]

#: The fastest of them for a function that is evaluated many times.
FASTEST = {"tensorflow": "graph", "jax": "xla", "torch": "eager"}[
    keras.backend.backend()
]

#: How it is, unless a test says otherwise: JAX compiles each operation of an
#: eager function.
DEFAULT = FASTEST if keras.backend.backend() == "jax" else "eager"


@dataclass(frozen=True)
class Evaluation:
    """A value and a gradient as NumPy, with the dtypes they had before."""

    value: float
    gradient: np.ndarray
    value_dtype: str
    gradient_dtype: str


def value_and_grad(fn, x, *args, mode=DEFAULT, dtype="float32"):
    """Evaluates the scalar `fn(x, *args)` and its gradient by `x`.

    Args:
        fn: Function of tensors.
        x: Array, converted to a tensor of `dtype`.
        *args: Integer arrays, handed over as int32 tensors: traced ones in
            the compiled modes.
        mode: One of `MODES`.
        dtype: Dtype of `x`.
    """
    return evaluator(fn, mode=mode, dtype=dtype)(x, *args)


def evaluator(fn, *, mode=DEFAULT, dtype="float32"):
    """Like `value_and_grad`, compiled once and for many `x`."""
    pair = _value_and_grad(fn, mode)

    def evaluate(x, *args):
        wide = "float64" if dtype == "float64" else "float32"
        x = ops.cast(ops.convert_to_tensor(np.asarray(x, wide)), dtype)
        args = [ops.convert_to_tensor(arg, dtype="int32") for arg in args]
        value, gradient = pair(x, *args)
        return Evaluation(
            value=float(ops.convert_to_numpy(ops.cast(value, wide))),
            gradient=ops.convert_to_numpy(ops.cast(gradient, wide)),
            value_dtype=keras.backend.standardize_dtype(value.dtype),
            gradient_dtype=keras.backend.standardize_dtype(gradient.dtype),
        )

    return evaluate


def with_float64():
    """A context with float64, which JAX has only if it is asked for."""
    if keras.backend.backend() != "jax":
        return nullcontext()
    import jax

    return jax.enable_x64(True)


def replaced(layer, variable, value):
    """A scope in which a layer has another value; it changes no state."""
    state = [(each, each.value) for each in layer.variables]
    return keras.StatelessScope([*state, (variable, value)])


def run(fn, *args, mode="eager"):
    """Calls a function of integer tensors, traced in the compiled modes."""
    args = [ops.convert_to_tensor(arg, dtype="int32") for arg in args]
    return ops.convert_to_numpy(_compile(fn, mode)(*args))


def _compile(fn, mode):
    if mode == "eager":
        return fn
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(fn, jit_compile=mode == "xla")
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(fn)
    import torch

    if mode == "autocast":
        return torch.autocast("cpu", dtype=torch.bfloat16)(fn)
    torch.compiler.reset()
    dynamic = True if mode == "dynamic" else None
    return torch.compile(fn, backend="aot_eager", dynamic=dynamic)


def _value_and_grad(fn, mode):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        def pair(x, *args):
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = fn(x, *args)
            zero = tf.UnconnectedGradients.ZERO
            return value, tape.gradient(value, x, unconnected_gradients=zero)

        return _compile(pair, mode)
    if keras.backend.backend() == "jax":
        import jax

        return _compile(jax.value_and_grad(fn), mode)

    compiled = _compile(fn, mode)

    def pair(x, *args):
        x = x.detach().requires_grad_()
        value = compiled(x, *args)
        value.backward()
        return value.detach(), x.grad

    return pair

"""Compiled functions on the active backend, and waiting for their results."""

from collections.abc import Callable
from typing import Any

import keras

BACKEND = keras.backend.backend()

#: How a function can be compiled; the first is what Keras' `fit` does on a
#: machine without an accelerator.
MODES = {
    "jax": ("jit",),
    "torch": ("eager", "compile"),
    "tensorflow": ("graph", "xla"),
}[BACKEND]


def compiled(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """Returns a function of tensors, compiled in one of the `MODES`."""
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=mode == "xla")
    if mode == "compile":
        import torch

        return torch.compile(function)
    return function


def value_and_grad(
    function: Callable[..., Any], mode: str
) -> Callable[..., Any]:
    """Returns value and gradients of a scalar function by all arguments."""
    if BACKEND == "jax":
        import jax

        def both(*tensors: Any) -> Any:
            every = tuple(range(len(tensors)))
            return jax.value_and_grad(function, every)(*tensors)

        return compiled(both, mode)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def both(*tensors: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                value = function(*tensors)
            return value, tape.gradient(value, tensors)

        return compiled(both, mode)
    import torch

    forward = compiled(function, mode)

    def both(*tensors: Any) -> Any:
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        value = forward(*leaves)
        return value.detach(), torch.autograd.grad(value, leaves)

    return both


def wait(result: Any) -> None:
    """Returns when the result has been computed."""
    if BACKEND == "jax":
        import jax

        jax.block_until_ready(result)
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        first = tf.nest.flatten(result)[0]
        (first if first.shape.rank == 0 else first[0, 0]).numpy()
    else:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()


def forget_compiled() -> None:
    """Drops what `torch.compile` keeps, whose number it limits."""
    if BACKEND == "torch":
        import torch

        torch.compiler.reset()

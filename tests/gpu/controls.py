"""Programs that show what the checks of `gpu.programs` see.

`BROKEN` maps names to a check, a program that it must object to, and a
pattern of what it has to say. `SOUND` maps names to a check and a program that
it must pass. Both are for the active backend.
"""

import functools

import keras
import numpy as np
from keras import ops

from gpu.programs import (
    Program,
    forward_on_fake_cuda,
    graph_for_gpu,
    lowered_for_cuda,
    step_on_meta,
)

NUMBERS = np.arange(4, dtype="float32")


def _program(function, shape=(4, 4)):
    return Program("", function, (shape,))


def _jax():
    import jax
    from jax import numpy as jnp
    from jax.experimental import io_callback

    def with_callback(callback):
        """A sum of which one part comes from the host, without gradient."""
        result = jax.ShapeDtypeStruct((), "float32")

        def function(x):
            return jnp.sum(x) + callback(
                np.sum, result, jax.lax.stop_gradient(x)
            )

        return _program(function)

    def with_print(x):
        jax.debug.print("{}", x[0, 0])
        return jnp.sum(x)

    def on_host(x):
        space = jax.memory.Space
        moved = jax.device_put(jax.lax.stop_gradient(x), space.Host)
        return jnp.sum(x) + jnp.sum(jax.device_put(moved, space.Device))

    def singular_values(x):
        return jnp.sum(jnp.linalg.svd(x, compute_uv=False))

    def eigenvalues(x):
        values = jnp.linalg.eigvals(jax.lax.stop_gradient(x))
        return jnp.sum(x) + jnp.sum(values.real)

    cuda = lowered_for_cuda
    cpu = functools.partial(lowered_for_cuda, platform="cpu")
    refusal = "platform"
    pure = with_callback(jax.pure_callback)
    broken = {
        "pure_callback": (cuda, pure, refusal),
        "io_callback": (cuda, with_callback(io_callback), refusal),
        "debug.print": (cuda, _program(with_print), refusal),
        "memory of the host": (cuda, _program(on_host), "annotate_device"),
        "solver on the host": (cuda, _program(eigenvalues), "cuhybrid_eig"),
        # What the text holds where a callback can be lowered.
        "pure_callback, lowered": (cpu, pure, "custom call .*callback"),
        # The platform is not that of the machine.
        "solver of the CPU": (cpu, _program(singular_values), "call lapack_"),
    }
    sound = {"solver of the GPU": (cuda, _program(singular_values))}
    return broken, sound


def _torch():
    import torch

    stray = torch.ones(4)

    @ops.custom_gradient
    def stray_gradient(x):
        def gradient(*_, upstream):
            return upstream.cpu() * torch.ones(4, 4)

        return ops.sum(x), gradient

    programs = {
        "tensor mixed in": (
            lambda x: torch.sum(x * torch.ones(4)),
            "same device|expected device",
        ),
        "tensor of the module mixed in": (
            lambda x: torch.sum(x * stray),
            "Fake|expected device",
        ),
        "tensor moved by Keras": (
            lambda x: ops.sum(ops.multiply(x, torch.ones(4))),
            r"_to_copy.* shape \(4,\) on cpu",
        ),
        "tensor of the module moved by Keras": (
            lambda x: ops.sum(ops.multiply(x, stray)),
            r"Fake|_to_copy.* shape \(4,\) on cpu",
        ),
        "scalar mixed in": (
            lambda x: torch.sum(x * torch.ones(())),
            r"mul.* shape \(\) on cpu",
        ),
        "index mixed in": (
            lambda x: torch.sum(x[torch.arange(2)]),
            r"index.* shape \(2,\) on cpu",
        ),
        "number read": (
            lambda x: torch.sum(x) * float(torch.max(x)),
            r"_local_scalar_dense|item\(\)",
        ),
        "array read": (
            lambda x: ops.sum(x * ops.convert_to_numpy(x)[0, 0]),
            "numpy|copy out of meta",
        ),
        "value on the CPU": (
            lambda x: torch.sum(x).cpu(),
            "on cpu|copy out of meta",
        ),
    }
    broken = {
        f"{name}, {check.__name__}": (check, _program(function), pattern)
        for name, (function, pattern) in programs.items()
        for check in (forward_on_fake_cuda, step_on_meta)
    }
    broken["gradient on the CPU"] = (
        step_on_meta,
        _program(stray_gradient),
        "cpu|copy out of meta",
    )

    def constants(x):
        rows = ops.take(x, [0, 2], axis=0)[:, None]
        rows = rows * 2.0 + ops.convert_to_tensor(NUMBERS)
        return ops.sum(ops.where(rows > 0, rows, 0.5))

    sound = {
        f"constants, {check.__name__}": (check, _program(constants))
        for check in (forward_on_fake_cuda, step_on_meta)
    }
    return broken, sound


def _tensorflow():
    import tensorflow as tf

    def with_print(x):
        tf.print(x)
        return tf.reduce_sum(x)

    def loop(dtype):
        def function(x):
            zero = tf.constant(0, dtype)
            return tf.while_loop(
                lambda i, _: i < 3,
                lambda i, y: (i + 1, tf.linalg.matmul(x, y)),
                (zero, x),
            )[1][0, 0]

        return _program(function)

    def distinct_rows(x):
        rows, _ = tf.raw_ops.UniqueV2(x=x, axis=[0])
        return tf.reduce_sum(x) + tf.reduce_sum(tf.stop_gradient(rows))

    def integer_product(x):
        integers = tf.cast(x, "int32")
        product = tf.linalg.matmul(integers, integers)
        return tf.reduce_sum(x) + tf.reduce_sum(tf.cast(product, x.dtype))

    programs = {
        "py_function": (
            lambda x: tf.reduce_sum(tf.py_function(np.sin, [x], x.dtype)),
            "EagerPyFunc leaves",
        ),
        "numpy_function": (
            lambda x: (
                tf.reduce_sum(x) + tf.numpy_function(np.sum, [x], x.dtype)
            ),
            "PyFunc leaves",
        ),
        "print": (with_print, "PrintV2 leaves"),
        "kernel of the CPU only": (distinct_rows, "UniqueV2 .* for GPU"),
        "strings": (
            lambda x: tf.reduce_sum(
                tf.strings.to_number(tf.strings.as_string(x)) * x
            ),
            "AsString has no kernel for GPU",
        ),
        "types without a kernel": (
            integer_product,
            "MatMul has no kernel for GPU",
        ),
        "size read on the host": (
            lambda x: tf.reduce_sum(x[: tf.cast(x[0, 0], "int32")]),
            "reads on the host what Cast computed",
        ),
        "branch decided on the device": (
            lambda x: tf.cond(
                x[0, 0] > 0.0, lambda: tf.reduce_sum(x), lambda: x[0, 0]
            ),
            "If reads on the host what Greater computed",
        ),
    }
    broken = {
        name: (graph_for_gpu, _program(function), pattern)
        for name, (function, pattern) in programs.items()
    }
    broken["loop counted on the device"] = (
        graph_for_gpu,
        loop("int64"),
        "Less returns to the host",
    )
    return broken, {"loop": (graph_for_gpu, loop("int32"))}


BROKEN, SOUND = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[
    keras.backend.backend()
]()

"""Compiled functions of the active backend, and how often they were traced."""

import keras

#: Ways to compile.
COMPILERS = {
    "tensorflow": ("graph", "xla"),
    "jax": ("xla",),
    "torch": ("inductor",),
}[keras.backend.backend()]


def compiled(fn, compiler):
    """Compiles `fn`; returns it and a function that counts its traces."""
    traces = []

    def counted(*args):
        traces.append(None)
        return fn(*args)

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        function = tf.function(counted, jit_compile=compiler == "xla")
        return function, lambda: len(traces)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(counted), lambda: len(traces)
    import torch

    torch.compiler.reset()
    graphs = torch._dynamo.utils.counters["stats"]
    graphs.clear()
    return torch.compile(fn), lambda: graphs["unique_graphs"]

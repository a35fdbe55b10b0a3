"""How large the tensors are that a function makes on the active backend."""

import keras
import numpy as np
from keras import ops

from support.gradients import value_and_grad


def largest_tensor(fn, x):
    """Entries of the largest tensor made for the value and gradient by `x`.

    On JAX and TensorFlow of the traced program, loops included; on PyTorch of
    what ran.
    """
    largest = {
        "jax": _largest_in_program,
        "tensorflow": _largest_in_operations,
        "torch": _largest_in_dispatch,
    }[keras.backend.backend()]
    return largest(fn, np.asarray(x, "float32"))


def _largest_in_program(fn, x):
    import jax
    from jax.extend.core import jaxprs_in_params

    def sizes(jaxpr):
        for equation in jaxpr.eqns:
            for variable in equation.outvars:
                yield int(np.prod(variable.aval.shape))
            for inner in jaxprs_in_params(equation.params):
                yield from sizes(inner)

    return max(sizes(jax.make_jaxpr(jax.value_and_grad(fn))(x).jaxpr))


def _largest_in_operations(fn, x):
    from tensorflow.python.framework import op_callbacks

    sizes = [0]

    def record(op_type, inputs, attrs, outputs, op_name=None, graph=None):
        for output in outputs:
            known = [size or 0 for size in output.shape or ()]
            sizes.append(int(np.prod(known)))

    op_callbacks.add_op_callback(record)
    try:
        value_and_grad(fn, x, mode="graph")
    finally:
        op_callbacks.remove_op_callback(record)
    return max(sizes)


def _largest_in_dispatch(fn, x):
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    sizes = [0]

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            for output in torch.utils._pytree.tree_leaves(result):
                if isinstance(output, torch.Tensor):
                    sizes.append(output.numel())
            return result

    tensor = ops.convert_to_tensor(x).requires_grad_()
    with Record():
        fn(tensor).backward()
    return max(sizes)

"""What the three backends do differently, under the same names.

Only the chosen backend's module is imported, so only that framework must be
installed.
"""

import importlib
from collections.abc import Callable

import keras
from keras import ops

from keras_mhe._typing import Tensor

_SUPPORTED = ("tensorflow", "jax", "torch")

if keras.backend.backend() not in _SUPPORTED:
    raise ImportError(
        "keras_mhe runs on the Keras backends 'tensorflow', 'jax' and "
        f"'torch'. Received: KERAS_BACKEND={keras.backend.backend()!r}."
    )

_module = importlib.import_module(
    f"keras_mhe._backend._{keras.backend.backend()}"
)

#: The values of an index tensor as a NumPy array, or `None` while tracing.
known_values: Callable[[Tensor], Tensor] = _module.known_values

#: `keras.ops.arctan2`, which on JAX answers float64 with float32.
arctan2: Callable[[Tensor, Tensor], Tensor] = _module.arctan2


def with_gradient(
    forward: Callable[[Tensor], tuple[Tensor, Callable[[Tensor], Tensor]]],
    tensor: Tensor,
) -> Tensor:
    """Evaluates a scalar function of one tensor with its own gradient.

    Hides that `keras.ops.custom_gradient` hands the upstream gradient over
    as the only argument on TensorFlow and JAX, as a keyword on PyTorch.

    Args:
        forward: Maps `tensor` to the pair of the scalar value and a function
            from the scalar upstream gradient to the gradient with respect to
            `tensor`. It may close over integers, index tensors and nothing
            else that needs a gradient.
        tensor: The tensor to differentiate by.

    Returns:
        The scalar value, differentiable once.
    """

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def evaluate(tensor: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        value, pull_back = forward(tensor)

        def backward(*args: Tensor, upstream: Tensor = None) -> Tensor:
            return pull_back(args[0] if upstream is None else upstream)

        return value, backward

    return evaluate(tensor)

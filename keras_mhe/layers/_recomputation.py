"""Layers whose calls change them, where gradients are checkpointed."""

from collections.abc import Callable
from typing import Any

import keras

from keras_mhe import _backend
from keras_mhe._typing import Tensor


class StatefulCall(keras.layers.Layer):  # type: ignore[misc]
    """A layer that changes once in a call, and not when it is made again.

    `keras.RematScope` makes the call again only where `call` can ask
    `_backend.is_recomputing`; elsewhere it leaves the layer alone, which would
    count a step or move vectors twice.
    """

    def rematerialized_call(
        self, layer_call: Callable[..., Tensor], *args: Any, **kwargs: Any
    ) -> Callable[..., Tensor]:
        """Returns what `keras.RematScope` calls in place of `call`."""
        if not _backend.SEES_RECOMPUTATION:
            return layer_call
        recomputed: Callable[..., Any] = super().rematerialized_call(
            layer_call, *args, **kwargs
        )
        return recomputed

"""New projections for `CompressiveMHE` while a model trains."""

from typing import Any

import keras

from keras_mhe._compilation import compile_anew
from keras_mhe._validation import check_integer
from keras_mhe.regularizers import CompressiveMHE
from keras_mhe.regularizers._terms import terms_in


class RefreshProjections(keras.callbacks.Callback):  # type: ignore[misc]
    """Draws the projections of `CompressiveMHE` anew between epochs.

    The published program draws them in each step. A regularizer has no state
    and no step, so here the regularizers of all trainable weights get
    the `draw` of the epoch at its beginning, `epoch // every` with epochs
    from 0. It depends on the number of the epoch only, so a training that is
    resumed with `initial_epoch`, of a saved model too, sees the projections
    that it would have seen. Other projections need another `seed`.

    TensorFlow and JAX keep the projections in their compiled training step,
    which is compiled anew for each draw; that may take longer than a short
    epoch.

    Args:
        every: Int >= 1, epochs that share their projections. Defaults to `1`.

    Raises:
        ValueError: On construction, if `every` is outside its range; when
            training begins, if no trainable weight has a
            `CompressiveMHE`.

    Example:
        >>> import keras, numpy as np
        >>> import keras_mhe
        >>> regularizer = keras_mhe.regularizers.CompressiveMHE(1.0, dim=4)
        >>> model = keras.Sequential([
        ...     keras.Input((8,)),
        ...     keras.layers.Dense(4, kernel_regularizer=regularizer),
        ... ])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(
        ...     np.ones((8, 8)), np.ones((8, 4)), epochs=3, verbose=0,
        ...     callbacks=[keras_mhe.callbacks.RefreshProjections()],
        ... )
        >>> regularizer.draw
        2
    """

    def __init__(self, every: int = 1) -> None:
        super().__init__()
        self.every = check_integer("every", every, at_least=1)
        self._found: list[CompressiveMHE] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Finds the regularizers."""
        self._found = terms_in(self.model, CompressiveMHE)
        if not self._found:
            raise ValueError(
                "RefreshProjections needs a trainable weight with a "
                "CompressiveMHE. "
                f"Received: model {self.model.name!r}, which has none."
            )

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Draws anew, if an epoch begins that shares no older projections."""
        draw = epoch // self.every
        has_changed = any(term.draw != draw for term in self._found)
        for term in self._found:
            term.draw = draw
        if has_changed:
            compile_anew(self.model)

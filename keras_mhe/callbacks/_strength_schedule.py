"""Strengths of regularizers that change over a training."""

from collections.abc import Callable
from typing import Any

import keras

from keras_mhe._compilation import compile_anew
from keras_mhe._validation import check_real
from keras_mhe.regularizers._scheduled import ScheduledRegularizer
from keras_mhe.regularizers._terms import neuron_terms_of


class StrengthSchedule(keras.callbacks.Callback):  # type: ignore[misc]
    """Multiplies the strengths of a model's regularizers, epoch by epoch.

    Acts on every regularizer of this library that a trainable weight of the
    model has when training begins, in sums too; each keeps its own strength,
    times the same factor. Weight decay and other regularizers of Keras stay as
    they are, and so do the energies of the heads in `keras_mhe.layers`, which
    have `energy_warmup`, and other models that share a regularizer. The factor
    depends on the number of the epoch only, so a training that is resumed with
    `initial_epoch` has the factors that it would have had. Saved models hold
    the strengths without it, and the end of the training sets it back to 1; a
    training that ends by an error leaves it to the next one with a schedule,
    or to `keras_mhe.regularize`.

    TensorFlow and JAX keep the strengths in their compiled training step,
    which is compiled anew whenever the factor changes; a schedule in few
    steps compiles few times. PyTorch, uncompiled, has no such cost.

    Adds `strength_factor` to the logs of every epoch.

    Args:
        schedule: Callable that maps the number of an epoch, from 0, to a
            finite factor >= 0, such as one of
            `keras.optimizers.schedules`.

    Raises:
        ValueError: On construction, if `schedule` is not callable; when
            training begins, if no trainable weight has a regularizer of
            this library;
            in an epoch whose factor is out of range.

    Example:
        >>> import keras, numpy as np
        >>> import keras_mhe
        >>> model = keras.Sequential([
        ...     keras.Input((8,)),
        ...     keras.layers.Dense(4, kernel_regularizer=keras_mhe.MHE(1.0)),
        ... ])
        >>> model.compile("sgd", "mse")
        >>> schedule = keras_mhe.callbacks.StrengthSchedule(
        ...     lambda epoch: min(1.0, epoch / 2)
        ... )
        >>> history = model.fit(
        ...     np.ones((8, 8)), np.ones((8, 4)), epochs=4, verbose=0,
        ...     callbacks=[schedule],
        ... )
        >>> history.history["strength_factor"]
        [0.0, 0.5, 1.0, 1.0]
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        super().__init__()
        if not callable(schedule):
            raise ValueError(
                "`schedule` must be a callable that maps the number of an "
                f"epoch to a factor. Received: schedule={schedule!r}."
            )
        self.schedule = schedule
        self._scheduled: list[tuple[Any, ScheduledRegularizer]] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Finds the regularizers.

        The factor is put on the weights, not into the regularizers, which
        other models may share.
        """
        self._scheduled = []
        for variable in self.model.trainable_variables:
            present = variable.regularizer
            if neuron_terms_of(present):
                # There is one already after a training that failed.
                if not isinstance(present, ScheduledRegularizer):
                    present = ScheduledRegularizer(present)
                    variable.regularizer = present
                self._scheduled.append((variable, present))
        if not self._scheduled:
            raise ValueError(
                "StrengthSchedule needs a trainable weight with a regularizer "
                f"of keras_mhe. Received: model {self.model.name!r}, which "
                "has none."
            )

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Sets the factor of the epoch."""
        factor = self.schedule(epoch)
        if hasattr(factor, "dtype"):  # Schedules of Keras give tensors.
            factor = keras.ops.convert_to_numpy(factor).item()
        self._set(check_real(f"schedule({epoch})", factor, at_least=0))

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Adds the factor to `logs`."""
        if logs is not None:
            logs["strength_factor"] = self._scheduled[0][1].factor

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the factor away."""
        self._set(1.0)
        for variable, scheduled in self._scheduled:
            if variable.regularizer is scheduled:
                variable.regularizer = scheduled.regularizer

    def _set(self, factor: float) -> None:
        scheduled = [one for _, one in self._scheduled]
        has_changed = any(one.factor != factor for one in scheduled)
        for one in scheduled:
            one.factor = factor
        if has_changed:
            compile_anew(self.model)

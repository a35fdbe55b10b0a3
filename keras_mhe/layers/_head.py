"""Class vectors that are called on features, and on labels in training."""

import warnings
from typing import Any

import keras
from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_integer
from keras_mhe.layers._inputs import (
    check_can_be_labels,
    check_one_label_each,
    checked_labels,
    features_and_labels,
    features_shape,
)
from keras_mhe.layers._recomputation import StatefulCall


class Head(StatefulCall):
    """The class vectors and the step counter of a head.

    Subclasses define `logits`, `_training_logits` and `_needs_labels`. All else
    is told at `AngularMargin`.

    Args:
        units: As for `AngularMargin`.
        kernel_initializer: As for `AngularMargin`.
        kernel_regularizer: As for `AngularMargin`.
        kernel_constraint: As for `AngularMargin`.
        kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        units: int,
        *,
        kernel_initializer: Any,
        kernel_regularizer: Any,
        kernel_constraint: Any,
        **kwargs: Any,
    ) -> None:
        # Cosines need float32, of features and of class vectors.
        super().__init__(autocast=False, **kwargs)
        self.units = check_integer("units", units, at_least=1)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self._has_warned = False

    def build(self, input_shape: Any) -> None:
        """Makes the class vectors and the step counter."""
        dim = features_shape(input_shape)[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(dim, self.units),
            dtype=self._logits_dtype,
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            autocast=False,
        )
        # Replicas count each for themselves: where they had to agree, they
        # would wait for each other inside of `call`, and Keras, which keeps
        # the losses of all in one list, would mix them up.
        self.step = keras.Variable(
            "zeros",
            shape=(),
            dtype="int32",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            synchronization="on_read",
            name="step",
        )

    def call(
        self, inputs: Any, labels: Any = None, training: bool | None = None
    ) -> Tensor:
        """Returns logits, with a margin for training with labels."""
        features, labels = features_and_labels(inputs, labels)
        features_shape(features.shape)
        dtype = _numerics.computation_dtype(self.kernel)
        features = ops.cast(features, dtype)
        if labels is None or not training:
            if training:
                self._warn_of_missing_labels()
            return self.logits(features)
        labels = checked_labels(labels, self.units)
        check_one_label_each(features.shape[0], labels.shape[0])
        return self._training_logits(features, labels, self._count())

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Returns `(batch, units)`."""
        return (*features_shape(input_shape)[:-1], self.units)

    def compute_output_spec(
        self, inputs: Any, labels: Any = None, training: bool | None = None
    ) -> keras.KerasTensor:
        """Returns the logits' shape and dtype."""
        features, labels = features_and_labels(inputs, labels)
        if labels is not None:
            dtype = keras.backend.standardize_dtype(labels.dtype)
            check_can_be_labels(labels.shape, dtype, self.units)
        shape = self.compute_output_shape(features.shape)
        return keras.KerasTensor(shape, dtype=self._logits_dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        config: dict[str, Any] = super().get_config()
        return config | {
            "units": self.units,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "kernel_regularizer": keras.regularizers.serialize(
                self.kernel_regularizer
            ),
            "kernel_constraint": keras.constraints.serialize(
                self.kernel_constraint
            ),
        }

    @property
    def _logits_dtype(self) -> str:
        return "float64" if self.variable_dtype == "float64" else "float32"

    def _warn_of_missing_labels(self) -> None:
        """Warns once, unless nothing is missed."""
        if self._has_warned or not self._needs_labels:
            return
        self._has_warned = True
        warnings.warn(
            f"`{type(self).__name__}` {self.name!r} is in training without "
            "labels: no margin, no energy, and no step is counted. Call it "
            "with labels, as `head(features, labels)`, in a model that takes "
            "both.",
            stacklevel=2,
        )

    def _count(self) -> Tensor:
        """Counts a training step, and returns how many came before it."""
        if _backend.is_recomputing():
            return self.step - 1
        # A tensor of its own, which the assignment does not change.
        done = self.step + 1
        self.step.assign(done)
        return done - 1

"""The base of all angular-margin heads: a classifier that sees angles only."""

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._neurons.registry import register_neurons
from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_integer, check_real
from keras_mhe.layers._inputs import (
    check_can_be_labels,
    check_one_label_each,
    checked_labels,
    features_and_labels,
    features_shape,
)
from keras_mhe.ops import cosines
from keras_mhe.ops._heads.logits import is_target, with_margin
from keras_mhe.ops._heads.sampling import (
    draw_classes,
    sampled_logits,
    step_back,
)


@register("AngularMargin")
class AngularMargin(keras.layers.Layer):  # type: ignore[misc]
    """Classifier on the hypersphere, by itself without a margin.

    The logit of a class is `scale * cos(t)`, with the angle `t` between the
    feature and the class vector: normalised softmax (NormFace, CocoLoss). Of
    a feature only the direction counts, of a class vector too, and there is
    no bias. Subclasses replace the cosine of a sample's own class by a lower
    one, in training only.

    Args:
        units: Int >= 1, the number of classes.
        scale: Real number > 0, no unit. The range of the logits, the inverse
            temperature of the softmax. Defaults to `64.0`.
        energy: `None`, or a `keras_mhe.MHE`: its mini-batch form is added to
            the loss in training, the classes of the batch against all
            classes. For all against all pass it as `kernel_regularizer`.
            Defaults to `None`.
        energy_start: Int >= 0, training steps without the energy. Defaults
            to `0`.
        energy_warmup: Int >= 0, training steps over which the energy then
            grows to its `strength`, linearly. Defaults to `0`.
        energy_schedule: `None`, or a
            `keras.optimizers.schedules.LearningRateSchedule` whose value at a
            training step multiplies the energy's `strength`; instead of
            `energy_start` and `energy_warmup`. Defaults to `None`.
        sample_rate: Real number in (0, 1]. Below 1 the logits of a training
            step, and the energy, are those of the classes of the batch and
            of this share of all classes, drawn anew in each step; see below.
            Defaults to `1.0`.
        seed: `None` or int, the seed of the draws. Defaults to `None`.
        kernel_initializer: Initializer of the class vectors. Defaults to
            `"glorot_uniform"`.
        kernel_regularizer: Regularizer of the class vectors. Weight decay
            shortens them and does not change what they say. Defaults to
            `None`.
        kernel_constraint: Constraint of the class vectors. Defaults to
            `None`.
        kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: The features, a float tensor of shape `(batch, dim)`, or the
            pair of features and labels.
        labels: `None`, or the labels, here or in the pair: whole numbers in
            `[0, units)`, shape `(batch,)` or `(batch, 1)`, integers or floats
            of a dtype that holds all of them. A label outside raises
            `ValueError`; inside a compiled function, where it cannot be seen,
            the sample has no class of its own and no margin, and the energy
            takes the nearest class; with `sample_rate` below 1 that is its
            own class too. A fraction raises too, and is cut off there.
        training: Bool. Only if it is true and labels are given there are
            margin, energy, and a count of the step; otherwise the plain
            logits of the classes, and labels are ignored. Without labels in
            training a head that has any of this warns, once.

    Input shape:
        `(batch, dim)`, or `((batch, dim), (batch,))`, or both as arguments
        of their own.

    Output shape:
        `(batch, units)`, float32 under every policy (float64 under
        `"float64"`): logits for a softmax cross-entropy with
        `from_logits=True`. Features are not cast down, and class vectors are
        kept in float32 too.

    Sampling:
        With `sample_rate` below 1 a training step touches
        `batch + sample_rate * units` classes. It returns logits of the shape
        `(batch, 1 + batch + drawn)`, which only the loss
        `keras_mhe.losses.SampledCrossentropy` understands; it takes the plain
        logits of validation too. Metrics of logits, such as accuracy, mean
        nothing in training. Drawn classes count `1 / sample_rate` times, so
        the sums over classes are unbiased, and the loss is too low by the
        little that the logarithm makes of their spread. The energy's
        estimate is unbiased. The gradient of the kernel is zero, and not
        absent, for classes that were not drawn: an optimizer with momentum
        moves them on.

    Attributes:
        kernel: The class vectors, a weight of shape `(dim, units)`. Columns
            of any length.
        step: Training steps done, an int32 weight. Saved with the model.
            Counted in each call with labels in training, so once in a step
            on every backend if the model calls the head once; a head that is
            not `trainable` counts too, and adds its energy. What
            `keras.RematScope` computes again on PyTorch is not counted again;
            on TensorFlow and JAX it leaves heads alone.

    Raises:
        ValueError: If an argument is outside its range, if `energy` has no
            form with anchors, or if both `energy_schedule` and one of
            `energy_start` and `energy_warmup` are given.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from keras_mhe.layers import AngularMargin
        >>> images, labels = keras.Input((8,)), keras.Input((), dtype="int32")
        >>> features = keras.layers.Dense(4)(images)
        >>> head = AngularMargin(10)
        >>> model = keras.Model([images, labels], head((features, labels)))
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> model.compile("sgd", loss)
        >>> x, y = np.ones((6, 8)), np.arange(6)
        >>> history = model.fit([x, y], y, verbose=0)
        >>> predictor = keras.Model(images, head(features))
        >>> predictor.predict(x, verbose=0).shape
        (6, 10)

    References:
        Wang et al., "NormFace", 2017, arXiv:1704.06369. The energy: Liu et
        al., NeurIPS 2018, arXiv:1805.09298, section 3.6. Sampling: An et al.,
        "Partial FC", 2021, arXiv:2010.05222; differs: drawn classes are
        weighted by the inverse of their share, there they are not.
    """

    def __init__(
        self,
        units: int,
        *,
        scale: float = 64.0,
        energy: Any = None,
        energy_start: int = 0,
        energy_warmup: int = 0,
        energy_schedule: Any = None,
        sample_rate: float = 1.0,
        seed: int | None = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        # Cosines need float32, of features and of class vectors.
        super().__init__(autocast=False, **kwargs)
        self.units = check_integer("units", units, at_least=1)
        self.scale = check_real("scale", scale, above=0)
        self.energy = _energy(energy)
        self.energy_start = check_integer(
            "energy_start", energy_start, at_least=0
        )
        self.energy_warmup = check_integer(
            "energy_warmup", energy_warmup, at_least=0
        )
        self.energy_schedule = _schedule(energy_schedule)
        if energy_schedule is not None and (energy_start or energy_warmup):
            raise ValueError(
                "`energy_schedule` stands in place of `energy_start` and "
                "`energy_warmup`. Received: energy_schedule="
                f"{energy_schedule}, energy_start={energy_start}, "
                f"energy_warmup={energy_warmup}."
            )
        self.sample_rate = check_real(
            "sample_rate", sample_rate, above=0, at_most=1
        )
        self.seed = seed
        if self.sample_rate < 1.0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self._has_warned = False
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)

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

    def logits(self, features: Tensor) -> Tensor:
        """Returns the plain logits, shape `(batch, units)`."""
        return self.scales(features) * cosines(features, self.kernel)

    def margin_logits(
        self, features: Tensor, labels: Tensor, step: Tensor
    ) -> Tensor:
        """Returns the logits of a training step, shape `(batch, units)`."""
        logits = with_margin(
            cosines(features, self.kernel),
            is_target(labels, self.units),
            lambda cosine: self.margin_of(cosine, step),
        )
        return self.scales(features) * logits

    def margin_of(self, cosine: Tensor, step: Tensor) -> Tensor:
        """Returns what replaces the cosines of the samples' own classes.

        Subclasses define it.

        Args:
            cosine: Float32 tensor, shape `(batch,)`.
            step: Int32 scalar, the training steps done before this one.

        Returns:
            Tensor of the shape of `cosine`.
        """
        return cosine

    def scales(self, features: Tensor) -> Tensor:
        """Returns the factor of each sample's cosines, a number or a column."""
        return self.scale

    def add_losses(self, features: Tensor) -> None:
        """Adds what a subclass has beside its logits to a training step."""

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

    def rematerialized_call(
        self, layer_call: Callable[..., Tensor], *args: Any, **kwargs: Any
    ) -> Callable[..., Tensor]:
        """Returns what `keras.RematScope` calls in place of `call`."""
        if not _backend.SEES_RECOMPUTATION:  # And would count it as a step.
            return layer_call
        recomputed: Callable[..., Any] = super().rematerialized_call(
            layer_call, *args, **kwargs
        )
        return recomputed

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        schedule = self.energy_schedule
        if schedule is not None:
            schedule = keras.optimizers.schedules.serialize(schedule)
        config: dict[str, Any] = super().get_config()
        return config | {
            "units": self.units,
            "scale": self.scale,
            "energy": keras.regularizers.serialize(self.energy),
            "energy_start": self.energy_start,
            "energy_warmup": self.energy_warmup,
            "energy_schedule": schedule,
            "sample_rate": self.sample_rate,
            "seed": self.seed,
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
        """Warns once, unless there is nothing to miss."""
        is_plain = type(self) is AngularMargin and self.energy is None
        if self._has_warned or (is_plain and self.sample_rate == 1.0):
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

    def _training_logits(
        self, features: Tensor, labels: Tensor, step: Tensor
    ) -> Tensor:
        """Returns the logits of a training step, and adds its losses."""
        drawn = None
        if self.sample_rate < 1.0:
            num_drawn = math.ceil(self.sample_rate * self.units)
            if _backend.is_recomputing():
                step_back(self.seed_generator)
            drawn = draw_classes(self.units, num_drawn, self.seed_generator)
        if self.energy is not None:
            energy = self.energy(self.kernel, anchors=labels, others=drawn)
            factor = ops.cast(self._energy_factor(step), energy.dtype)
            self.add_loss(_backend.loss_summand(factor * energy))
        self.add_losses(features)
        if drawn is None:
            return self.margin_logits(features, labels, step)
        return sampled_logits(
            features,
            self.kernel,
            labels,
            drawn,
            scale=self.scales(features),
            margin=lambda cosine: self.margin_of(cosine, step),
        )

    def _energy_factor(self, step: Tensor) -> Tensor:
        """Returns what multiplies the energy's strength at a step."""
        if self.energy_schedule is not None:
            return self.energy_schedule(step)
        done = ops.cast(step - self.energy_start + 1, "float32")
        return ops.clip(done / max(self.energy_warmup, 1), 0.0, 1.0)


# One neuron for each class, also in the heads that are subclasses.
register_neurons(AngularMargin, "kernel", regularizer="kernel_regularizer")


def _energy(value: Any) -> Any:
    """Returns an `MHE`, or `None`."""
    energy = keras.regularizers.get(value)
    if energy is None:
        return None
    takes_anchors = "anchors" in inspect.signature(energy).parameters
    fits = takes_anchors and energy.neuron_axis in (-1, 1)
    if not fits or energy.groups != 1:
        raise ValueError(
            "`energy` must be a `keras_mhe.MHE` with `neuron_axis=-1`, the "
            f"axis of the classes, and `groups=1`. Received: energy={value!r}."
            " Anything else may be a `kernel_regularizer`."
        )
    return energy


def _schedule(value: Any) -> Any:
    """Returns a `LearningRateSchedule`, or `None`."""
    if isinstance(value, dict):
        value = keras.optimizers.schedules.deserialize(value)
    schedule = keras.optimizers.schedules.LearningRateSchedule
    if value is not None and not isinstance(value, schedule):
        raise ValueError(
            "`energy_schedule` must be a keras.optimizers.schedules."
            f"LearningRateSchedule. Received: energy_schedule={value!r}."
        )
    return value

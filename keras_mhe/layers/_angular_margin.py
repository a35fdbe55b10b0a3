"""The base of all angular-margin heads: a classifier that sees angles only."""

import math
from typing import Any

import keras
from keras import ops

from keras_mhe import _backend
from keras_mhe._neurons.registry import register_neurons
from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_integer, check_real
from keras_mhe.layers._head import Head
from keras_mhe.layers._head_energy import (
    checked_energy,
    checked_schedule,
    energy_factor,
)
from keras_mhe.ops import cosines
from keras_mhe.ops._heads.logits import is_target, with_margin
from keras_mhe.ops._heads.sampling import (
    draw_classes,
    sampled_logits,
    step_back,
)


@register("AngularMargin")
class AngularMargin(Head):
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
        super().__init__(
            units,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )
        self.scale = check_real("scale", scale, above=0)
        self.energy = checked_energy(energy)
        self.energy_start = check_integer(
            "energy_start", energy_start, at_least=0
        )
        self.energy_warmup = check_integer(
            "energy_warmup", energy_warmup, at_least=0
        )
        self.energy_schedule = checked_schedule(
            energy_schedule, energy_start, energy_warmup
        )
        self.sample_rate = check_real(
            "sample_rate", sample_rate, above=0, at_most=1
        )
        self.seed = seed
        if self.sample_rate < 1.0:
            self.seed_generator = keras.random.SeedGenerator(seed)

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

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        schedule = self.energy_schedule
        if schedule is not None:
            schedule = keras.optimizers.schedules.serialize(schedule)
        return super().get_config() | {
            "scale": self.scale,
            "energy": keras.regularizers.serialize(self.energy),
            "energy_start": self.energy_start,
            "energy_warmup": self.energy_warmup,
            "energy_schedule": schedule,
            "sample_rate": self.sample_rate,
            "seed": self.seed,
        }

    @property
    def _needs_labels(self) -> bool:
        """Whether a training step differs from other calls."""
        is_plain = type(self) is AngularMargin and self.energy is None
        return not is_plain or self.sample_rate < 1.0

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
            factor = energy_factor(
                step,
                self.energy_schedule,
                self.energy_start,
                self.energy_warmup,
            )
            factor = ops.cast(factor, energy.dtype)
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


# One neuron for each class, also in the heads that are subclasses.
register_neurons(AngularMargin, "kernel", regularizer="kernel_regularizer")

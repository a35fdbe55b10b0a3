"""The adversarial pair as one Keras model with one optimizer for each side."""

from typing import Any

import keras
from keras import ops

from generation.training_step import StepModel, apply, gradients
from keras_mhe.layers import held_singular_vectors


class TwoOptimizers(keras.optimizers.Optimizer):
    """Keeps two optimizers, each with the variables of its own.

    A Keras model has one optimizer, whose variables its trainer carries along
    and whose state is saved. This one has those of both; it counts the
    training steps and applies nothing by itself.

    Args:
        generator: Optimizer of the generator.
        discriminator: Optimizer of the discriminator.
    """

    def __init__(
        self,
        generator: keras.optimizers.Optimizer,
        discriminator: keras.optimizers.Optimizer,
        name: str = "two_optimizers",
    ) -> None:
        super().__init__(learning_rate=0.0, name=name)
        self.generator = generator
        self.discriminator = discriminator

    @property
    def learning_rate(self) -> Any:
        """That of the generator's optimizer; both get what is assigned."""
        return self.generator.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.generator.learning_rate = learning_rate
        self.discriminator.learning_rate = learning_rate

    def build_both(self, model: "GAN") -> None:
        """Makes the variables of both."""
        if not self.built:
            self.generator.build(model.generator.trainable_variables)
            self.discriminator.build(model.discriminator.trainable_variables)
            super().build([])

    def build(self, variables: list[keras.Variable]) -> None:
        """Does nothing: `build_both` knows whose variables are whose."""

    @property
    def variables(self) -> list[keras.Variable]:
        """Those of this optimizer and of both."""
        own = super().variables
        return [*own, *self.generator.variables, *self.discriminator.variables]

    def get_config(self) -> dict[str, Any]:
        """Returns the configurations of both."""
        serialize = keras.optimizers.serialize
        return {
            "name": self.name,
            "generator": serialize(self.generator),
            "discriminator": serialize(self.discriminator),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "TwoOptimizers":
        """Returns the pair of a configuration."""
        both = {
            side: keras.optimizers.deserialize(config[side], custom_objects)
            for side in ("generator", "discriminator")
        }
        return cls(**both, name=config["name"])


class GAN(StepModel):
    """Trains generator and discriminator against each other.

    A step trains the generator, then the discriminator with new noise: the
    order of the published program. Losses are `softplus`, non-saturating. The
    discriminator's regularizers are in its loss once. Its singular vectors
    move whenever it sees generated images, and are held for real ones.

    `fit` takes batches of real images in [-1, 1] and two arrays of noise, and
    logs `generator_loss`, `discriminator_loss` (without regularizers) and
    `mhe_loss`, the regularizers' sum.

    Args:
        generator: Model from noise to images.
        discriminator: Model from images to logits.
        average: Momentum, 0 to 1, of the moving average of the generator's
            weights. It grows to this value as `(1 + step) / (10 + step)`, so
            early weights are forgotten soon.

    Attributes:
        averaged_generator: The generator with the average of its weights; the
            generator itself if `average` is 0.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        average: float = 0.0,
    ) -> None:
        super().__init__(name="gan")
        self.generator = generator
        self.discriminator = discriminator
        self.average = average
        self.averaged_generator = generator
        if average:
            self.averaged_generator = generator.from_config(
                generator.get_config() | {"name": "averaged_generator"}
            )
            self.averaged_generator.set_weights(generator.get_weights())
        self.trackers = {
            name: keras.metrics.Mean(name=name)
            for name in ("generator_loss", "discriminator_loss", "mhe_loss")
        }
        self.built = True

    def compile(
        self, learning_rate: float, beta_1: float = 0.5, **options: Any
    ) -> None:
        """Gives each side an Adam of its own; options are Keras'."""

        def adam() -> keras.optimizers.Optimizer:
            return keras.optimizers.Adam(learning_rate, beta_1, beta_2=0.999)

        super().compile(TwoOptimizers(adam(), adam()), **options)
        self.optimizer.build_both(self)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Reset at the beginning of each epoch."""
        return list(self.trackers.values())

    def call(self, noise: Any, training: bool | None = None) -> Any:
        """Returns generated images."""
        return self.averaged_generator(noise, training=training)

    def step(self, data: Any) -> dict[str, Any]:
        """Trains both sides on a batch."""
        images, noise, more_noise = keras.tree.flatten(data)

        def generator_loss() -> Any:
            generated = self.generator(noise, training=True)
            logits = self.discriminator(generated, training=True)
            return ops.mean(ops.softplus(-logits))

        variables = self.generator.trainable_variables
        loss, grads = gradients(generator_loss, variables, self)
        apply(self.optimizer.generator, grads, variables)
        self.trackers["generator_loss"].update_state(loss)

        def discriminator_loss() -> Any:
            generated = self.generator(more_noise, training=True)
            fake = self.discriminator(
                ops.stop_gradient(generated), training=True
            )
            with held_singular_vectors():
                real = self.discriminator(images, training=True)
            loss = ops.mean(ops.softplus(fake)) + ops.mean(ops.softplus(-real))
            return loss + self._energy()

        energy = ops.stop_gradient(self._energy())
        variables = self.discriminator.trainable_variables
        loss, grads = gradients(discriminator_loss, variables, self)
        apply(self.optimizer.discriminator, grads, variables)
        self.trackers["discriminator_loss"].update_state(loss - energy)
        self.trackers["mhe_loss"].update_state(energy)
        self._move_average()
        self.optimizer.iterations.assign_add(1)
        return {name: m.result() for name, m in self.trackers.items()}

    def _move_average(self) -> None:
        if not self.average:
            return
        step = ops.cast(self.optimizer.iterations, "float32")
        momentum = ops.minimum(self.average, (1.0 + step) / (10.0 + step))
        for mean, weight in zip(
            self.averaged_generator.weights, self.generator.weights, strict=True
        ):
            mean.assign(momentum * mean + (1.0 - momentum) * weight)

    def _energy(self) -> Any:
        return sum(self.discriminator.losses, ops.zeros(()))

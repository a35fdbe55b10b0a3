"""Training recipes: the published ones, and short ones per data set."""

from dataclasses import dataclass

import keras

from common.schedules import length_of, warmup_and_cosine


@dataclass(frozen=True)
class Stage:
    """One training: how long, how fast.

    Attributes:
        epochs: Passes over the training images; `None` if `steps` is given.
        steps: Training steps; `None` if `epochs` is given.
        learning_rate: Largest rate.
        boundaries: Steps after which the rate is multiplied by `factor`, as
            shares of all steps; `None` for a warm-up and a cosine to zero.
        factor: Factor at each boundary.
    """

    epochs: int | None = None
    steps: int | None = None
    learning_rate: float = 0.1
    boundaries: tuple[float, ...] | None = None
    factor: float = 0.1

    @property
    def length(self) -> str:
        """How long the training is, as text."""
        return length_of(self.epochs, self.steps)

    def schedule(
        self, total_steps: int
    ) -> keras.optimizers.schedules.LearningRateSchedule:
        """Returns the rate by step."""
        if self.boundaries is None:
            return warmup_and_cosine(self.learning_rate, total_steps)
        # Keras changes the rate after the step of a boundary, Caffe before.
        steps = [
            max(1, round(share * total_steps)) - 1 for share in self.boundaries
        ]
        rates = [
            self.learning_rate * self.factor**k for k in range(len(steps) + 1)
        ]
        return keras.optimizers.schedules.PiecewiseConstantDecay(steps, rates)


@dataclass(frozen=True)
class Recipe:
    """Everything that is tuned for a data set.

    Attributes:
        pretraining: The training without energy that comes first; `None` for
            none, or when it begins with a model that is given.
        training: The training with the method's energy.
        network: One of `verification.networks.NETWORKS`.
        embedding_size: Length of the embedding.
        batch_size: Images per step.
        weight_decay: Factor of half the squared norm of kernels, PReLU slopes
            and class vectors.
        mirror: Whether images are mirrored at random in training, and the
            features of image and mirror image concatenated in verification.
        scale: Scale of the heads with normalised features.
        lambda_base, lambda_gamma, lambda_power, lambda_min: Annealing of
            SphereFace's margin.
        feature_norm: `"none"`, `"hard"` or `"soft"`, for SphereFace-R.
        gradient_detachment: Whether margins leave the gradient alone, for
            heads that know it.
    """

    pretraining: Stage | None = None
    training: Stage = Stage(epochs=1)
    network: str = "small"
    embedding_size: int = 64
    batch_size: int = 128
    weight_decay: float = 5e-4
    mirror: bool = False
    scale: float = 16.0
    lambda_base: float = 1000.0
    lambda_gamma: float = 0.12
    lambda_power: float = 1.0
    lambda_min: float = 5.0
    feature_norm: str = "hard"
    gradient_detachment: bool = False


#: For runs of minutes instead of days, on glyphs and on folders of images.
SHORT = {
    "glyphs": Recipe(
        pretraining=Stage(epochs=8),
        training=Stage(epochs=4, learning_rate=0.05),
    ),
    "folders": Recipe(
        pretraining=Stage(epochs=20),
        training=Stage(epochs=10, learning_rate=0.05),
        network="sphereface4",
        embedding_size=512,
        mirror=True,
        scale=32.0,
    ),
}

#: The trainings with energy of the published SphereFace+, by margin.
_PUBLISHED_TRAINING = {
    1: Stage(None, 11_000, 0.05, (7 / 11, 1.0), 0.2),
    2: Stage(None, 8_000, 0.1, (5 / 8,), 0.1),
    3: Stage(None, 12_000, 0.1, (1 / 3, 3 / 4), 0.1),
    4: Stage(None, 8_000, 0.01, (1 / 2, 3 / 4), 0.1),
}


def published_recipe(head: str, margin: float | None) -> Recipe:
    """Returns the recipe of the published SphereFace+ with that margin.

    From its training files: SphereFace-20, 512 images per step (256 on each
    of two GPUs), SGD with momentum 0.9. The training without energy is that
    of the published SphereFace, 28,000 steps. Other heads get the recipe of
    margin 4.
    """
    published = 4
    if head == "sphereface" and margin in _PUBLISHED_TRAINING:
        published = int(margin)
    return Recipe(
        pretraining=Stage(None, 28_000, 0.1, (4 / 7, 6 / 7, 1.0), 0.1),
        training=_PUBLISHED_TRAINING[published],
        network="sphereface20",
        embedding_size=512,
        batch_size=512,
        mirror=True,
        scale=64.0,
        lambda_gamma=0.11 if published in (2, 3) else 0.12,
    )

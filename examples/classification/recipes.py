"""Training recipes: the published one, and short ones per data set."""

from dataclasses import dataclass

import keras
from keras import ops

from common.schedules import length_of, warmup_and_cosine

LABEL_SMOOTHING = 0.01


@dataclass(frozen=True)
class Recipe:
    """Everything that is tuned for a data set.

    Attributes:
        epochs: Passes over the training images; `None` if `steps` is given.
        steps: Training steps; `None` if `epochs` is given.
        batch_size: Images per step.
        learning_rate: Largest rate of the schedule.
        weight_decay: Factor of half the squared norm of every variable.
        width: Factor of the network's numbers of filters.
        augmentation: `"none"`, `"crop"` (4-pixel padding, random crop; 1
            pixel for images smaller than 16) or `"crop_flip"` (and
            horizontal flip).
        batch_norm_momentum: Weight of the old moving average.
        is_published: Whether loss and schedule are the published ones.
    """

    epochs: int | None
    steps: int | None
    batch_size: int
    learning_rate: float
    weight_decay: float
    width: float
    augmentation: str
    batch_norm_momentum: float
    is_published: bool

    @property
    def length(self) -> str:
        """How long the training is, as text."""
        return length_of(self.epochs, self.steps)


#: As published: 42,500 steps, of which the first thousands stay near chance.
PUBLISHED = Recipe(
    epochs=None,
    steps=42_500,
    batch_size=128,
    learning_rate=0.1,
    weight_decay=5e-4,
    width=1.0,
    augmentation="crop_flip",
    batch_norm_momentum=0.999,
    is_published=True,
)


def _short(epochs: int, batch_size: int, **changes: object) -> Recipe:
    settings = {
        "epochs": epochs,
        "steps": None,
        "batch_size": batch_size,
        "learning_rate": 0.05,
        "weight_decay": 5e-4,
        "width": 0.25,
        "augmentation": "crop_flip",
        "batch_norm_momentum": 0.9,
        "is_published": False,
    }
    return Recipe(**(settings | changes))  # type: ignore[arg-type]


#: For runs of minutes instead of hours on a CPU.
SHORT = {
    "digits": _short(30, 64, augmentation="none"),
    "fashion_mnist": _short(10, 128),
    "cifar10": _short(20, 128),
    "cifar100": _short(30, 128),
}


def learning_rate_schedule(
    recipe: Recipe, learning_rate: float, total_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Rate by step: published steps, or a warm-up and a cosine to zero.

    The published rate is divided by 10 after 20,000, 30,000 and 37,500 of
    42,500 steps; shorter runs keep these fractions.
    """
    if recipe.is_published:
        boundaries = [
            max(1, round(step / 42_500 * total_steps))
            for step in (20_000, 30_000, 37_500)
        ]
        rates = [learning_rate / 10**k for k in range(4)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(
            boundaries, rates
        )
    return warmup_and_cosine(learning_rate, total_steps)


def compile_model(
    model: keras.Model, recipe: Recipe, learning_rate: float, total_steps: int
) -> None:
    """Compiles the model with the recipe's optimizer, loss and metric."""
    if recipe.is_published:
        loss = PublishedCrossEntropy()
    else:
        loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=LABEL_SMOOTHING
        )
    schedule = learning_rate_schedule(recipe, learning_rate, total_steps)
    model.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
        loss=loss,
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )


@keras.saving.register_keras_serializable(package="keras_mhe_examples")
class PublishedCrossEntropy(keras.losses.Loss):
    """Smoothed cross-entropy of `softmax + 1e-4`, as the published program.

    The constant bounds the loss of one image at 9.2 and weakens the gradient
    of images that the network is sure to have wrong.

    Args:
        label_smoothing: Weight of the uniform distribution in the target.
        name: Name of the loss.
    """

    def __init__(
        self,
        label_smoothing: float = LABEL_SMOOTHING,
        name: str = "published_cross_entropy",
        **kwargs: object,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true: object, y_pred: object) -> object:
        """Returns the loss of each image from one-hot labels and logits."""
        num_classes = ops.shape(y_pred)[-1]
        y_true = ops.cast(y_true, y_pred.dtype)
        target = (1.0 - self.label_smoothing) * y_true
        target = target + self.label_smoothing / num_classes
        probabilities = ops.softmax(y_pred, axis=-1)
        return -ops.sum(target * ops.log(probabilities + 1e-4), axis=-1)

    def get_config(self) -> dict[str, object]:
        """Returns the arguments."""
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
        }

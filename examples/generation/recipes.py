"""Training recipes: the published one, and short ones per data set."""

from dataclasses import dataclass

#: Fields that the training does not depend on.
SCORING = ("scored", "splits")


@dataclass(frozen=True)
class Recipe:
    """Everything that is tuned for a data set.

    Attributes:
        steps: Training steps, each an update of both sides.
        batch_size: Real images per step.
        learning_rate: Of both Adam optimizers.
        beta_1: Of both Adam optimizers.
        average: Momentum of the moving average of the generator's weights,
            which draws the images; 0 for the weights themselves.
        width: Factor of the numbers of filters.
        steps_per_epoch: Steps after which the curves get a point, a sheet is
            drawn, and a killed run goes on.
        flip: Whether real images are mirrored at random.
        snapshots: How many times, evenly spread, the last at the end, the
            generator is kept to be scored.
        scored: Generated images that each score takes.
        splits: Parts of them for the spread of the classifier score.
    """

    steps: int
    batch_size: int = 64
    learning_rate: float = 1e-4
    beta_1: float = 0.5
    average: float = 0.0
    width: float = 1.0
    steps_per_epoch: int = 250
    flip: bool = False
    snapshots: int = 10
    scored: int = 10_000
    splits: int = 10


#: For runs of minutes and hours instead of days.
SHORT = {
    "digits": Recipe(
        steps=600,
        learning_rate=5e-4,
        average=0.99,
        width=0.25,
        steps_per_epoch=50,
        snapshots=6,
        # As many as there are test images, in parts that are not too small.
        scored=360,
        splits=2,
    ),
    "fashion_mnist": Recipe(
        steps=8_000,
        batch_size=32,
        learning_rate=5e-4,
        average=0.999,
        width=0.125,
        snapshots=4,
    ),
    "cifar10": Recipe(
        steps=10_000,
        batch_size=32,
        learning_rate=5e-4,
        average=0.999,
        width=0.125,
        flip=True,
        snapshots=4,
    ),
}

#: That of the published program. Its score takes 50,000 images.
PUBLISHED = Recipe(
    steps=200_000, steps_per_epoch=1_000, snapshots=40, scored=50_000
)

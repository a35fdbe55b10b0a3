"""Learning rates, and how long a training is."""

import keras


def warmup_and_cosine(
    learning_rate: float, total_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Rate that rises over a twentieth of the steps and falls to zero."""
    warmup = max(1, total_steps // 20)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / warmup,
        decay_steps=max(1, total_steps - warmup),
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )


def length_of(epochs: int | None, steps: int | None) -> str:
    """Returns the length of a training of epochs, or of steps, as text."""
    return f"{steps} steps" if epochs is None else f"{epochs} epochs"

"""Checks of arguments that do not go together."""

import math
from typing import Any


def random_level_is_finite(energy: float, power: float, dim: int) -> None:
    """Raises if random directions have no finite energy, so no gap exists."""
    if math.isinf(energy):
        raise ValueError(
            "A gap needs a finite energy of random directions, so `power` "
            f"below {dim - 1}, the dimension of the neurons minus 1. Lower "
            "`power`, or give `limit` in place of `gap`, or "
            f'`units="energy"`. Received: power={power}, dimension {dim}.'
        )


def minimum_is_proven(distance: str, half_space: bool) -> None:
    """Raises for the energy whose minimum nobody has proven."""
    if distance == "angular" and not half_space:
        raise ValueError(
            "A gap needs a proven minimum, and angles in full space have "
            'none. Use `half_space=True`, `distance="euclidean"` or '
            "`units=\"energy\"`. Received: distance='angular', "
            "half_space=False."
        )


def one_level(limit: Any, gap: Any) -> None:
    """Raises unless exactly one of `limit` and `gap` is given."""
    if (limit is None) == (gap is None):
        raise ValueError(
            "Exactly one of `limit` and `gap` must be given. "
            f"Received: limit={limit!r}, gap={gap!r}."
        )


def unset_for_gan(power_s: Any, output_layer: Any) -> None:
    """Raises if the GAN program's term is asked for with what it has not."""
    if power_s is not None or output_layer is not False:
        raise ValueError(
            "The GAN program's term has no `power_s` and no `output_layer`. "
            f"Received: power_s={power_s!r}, output_layer={output_layer!r}."
        )

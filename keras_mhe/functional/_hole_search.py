"""Search for the direction whose mean energy with neurons is lowest."""

import functools
from collections.abc import Callable

import numpy as np
from keras import ops

from keras_mhe import _backend, _validation
from keras_mhe._typing import Tensor
from keras_mhe.functional._groups import mean
from keras_mhe.functional._neurons import tangent, unit_columns

#: Value and slope of a pair by its cosine.
PairEnergy = Callable[[Tensor], tuple[Tensor, Tensor]]

#: Angles, in radians, by which a search turns first and last.
_FIRST_ANGLE, _LAST_ANGLE = 0.5, 0.01

#: Seed of the directions from which all searches start.
_SEED = 2103


def lowest_energy(
    units: Tensor, pair: PairEnergy, starts: int, steps: int
) -> Tensor:
    """The lowest mean energy of a direction with the columns of each group.

    Args:
        units: Unit columns, shape `(groups, dim, size)`.
        pair: Energy of a direction with a column.
        starts: Number of searches.
        steps: Steps of each.

    Returns:
        Tensor of shape `(groups,)`, differentiable by `units` once.
    """
    starts = _validation.positive_integer("starts", starts)
    steps = _validation.non_negative_integer("steps", steps)

    def forward(
        units: Tensor,
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        places = _search(units, pair, starts, steps)
        values, slopes = pair(
            _backend.matmul(places, units, transpose_first=True)
        )
        found = mean(values, axis=-1)
        lowest = ops.min(found, axis=-1, keepdims=True)
        # Where several are lowest, the mean of their gradients.
        share = ops.cast(found <= lowest, found.dtype)
        share = share / ops.sum(share, axis=-1, keepdims=True)
        gradient = _backend.matmul(places * share[:, None, :], slopes)
        gradient = gradient / values.shape[-1]

        def pull_back(upstream: Tensor) -> Tensor:
            return upstream[:, None, None] * gradient

        return lowest[:, 0], pull_back

    return _backend.with_gradient(forward, units)


def _search(units: Tensor, pair: PairEnergy, starts: int, steps: int) -> Tensor:
    """Returns the best direction of each search, `(groups, dim, starts)`."""
    groups, dim, _ = units.shape
    drawn = _backend.constant(_starts, dim, starts)
    places = ops.convert_to_tensor(drawn, dtype=units.dtype)
    places = ops.broadcast_to(places, (groups, dim, starts))
    decay = (_LAST_ANGLE / _FIRST_ANGLE) ** (1.0 / max(steps - 1, 1))

    def energies(places: Tensor) -> tuple[Tensor, Tensor]:
        """Mean energy of each direction, and the tangent of its gradient."""
        cosines = _backend.matmul(places, units, transpose_first=True)
        values, slopes = pair(cosines)
        by_place = _backend.matmul(units, slopes, transpose_second=True)
        return mean(values, axis=-1), tangent(places, by_place)

    def step(
        places: Tensor,
        slopes: Tensor,
        angle: Tensor,
        lowest: Tensor,
        best: Tensor,
    ) -> tuple[Tensor, ...]:
        turned = _backend.cosine(angle) * places
        turned = turned - _backend.sine(angle) * _directions(slopes)
        # Near a minimum the slopes are noise, which need not be tangent.
        places = _directions(turned)
        values, slopes = energies(places)
        is_lower = values < lowest
        lowest = ops.where(is_lower, values, lowest)
        best = ops.where(is_lower[:, None, :], places, best)
        return places, slopes, decay * angle, lowest, best

    lowest, slopes = energies(places)
    angle = ops.cast(_FIRST_ANGLE, units.dtype)
    state = (places, slopes, angle, lowest, places)
    best: Tensor = _backend.repeat(steps, step, state)[-1]
    return best


@functools.lru_cache(maxsize=64)
def _starts(dim: int, count: int) -> np.ndarray:
    """Unit vectors from which all searches in a dimension start."""
    drawn = np.random.default_rng((_SEED, dim)).normal(size=(dim, count))
    drawn /= np.linalg.norm(drawn, axis=0)
    drawn.setflags(write=False)
    return drawn


def _directions(stack: Tensor) -> Tensor:
    """Returns columns `(groups, dim, count)` with length 1, or 0."""
    groups, dim, count = stack.shape
    columns = ops.reshape(ops.transpose(stack, (1, 0, 2)), (dim, -1))
    units = ops.reshape(unit_columns(columns), (dim, groups, count))
    return ops.transpose(units, (1, 0, 2))

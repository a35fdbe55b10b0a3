"""Angles between neurons: the nearest of each, and how often which occurs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_mhe._typing import Tensor
from keras_mhe.ops._pairs.columns import cosines_of

#: Cosines of a tile, one tile alive at a time.
_TILE_SIZE = 2**22
#: Neurons of a group whose angles to all others are counted.
_COUNTED = 1024
#: Below every cosine.
_NO_NEIGHBOR = -2.0
#: Cosine of neurons so near that rounding can hide which are the nearest.
_NEAR = 0.999


@dataclass(frozen=True)
class Neighbors:
    """Angles between the neurons of a kernel.

    Attributes:
        angles: Degrees from each neuron to its nearest one of the same group,
            float64 of shape `(N,)`. In half space angles between lines, at
            most 90. NaN for a neuron that has no direction or no other one
            beside it.
        nearest: Index of that other neuron, or -1.
        counts: Angles of pairs counted by degree, shape `(180,)`, in half
            space `(90,)`. Of groups with more than 1,024 neurons about as
            many, evenly chosen, are counted against all.
    """

    angles: np.ndarray
    nearest: np.ndarray
    counts: np.ndarray


def neighbors(
    units: Tensor, groups: int, half_space: bool, *, count_angles: bool
) -> Neighbors:
    """Finds nearest neurons in tiles, so without a table of all pairs.

    Args:
        units: Float tensor, shape `(dim, N)`, one group after the other:
            columns of length 1, or of zeros for neurons without a direction.
        groups: Blocks of neurons that do not meet each other.
        half_space: Whether opposites are as near as equal ones.
        count_angles: Whether to fill `Neighbors.counts`.
    """
    has_direction = _to_numpy(ops.any(units != 0.0, axis=0))
    counts = np.zeros(90 if half_space else 180, "int64")
    angles, nearest = [], []
    size = units.shape[1] // groups
    for start in range(0, size * groups, size):
        members = slice(start, start + size)
        group = units[:, members]
        is_valid = has_direction[members]
        step = -(-size // _COUNTED)
        for first, cosines in _tiles(group, is_valid, half_space):
            partners = _to_numpy(ops.argmax(cosines, axis=1)).copy()
            rows = np.arange(first, first + len(partners))
            is_near = _to_numpy(ops.max(cosines, axis=1)) > _NEAR
            if is_near.any():
                partners[is_near] = _exact_partners(
                    group, rows[is_near], is_valid, half_space
                )
            found = _angles(group, rows, partners, half_space)
            is_pair = is_valid[rows] & is_valid[partners] & (rows != partners)
            angles.append(np.where(is_pair, found, np.nan))
            nearest.append(np.where(is_pair, partners + start, -1))
            if count_angles:
                counted = (rows % step == 0) & is_valid[rows]
                counts += _counts(_to_numpy(cosines)[counted], len(counts))
    return Neighbors(np.concatenate(angles), np.concatenate(nearest), counts)


def _tiles(
    group: Tensor, is_valid: np.ndarray, half_space: bool
) -> Iterator[tuple[int, Tensor]]:
    """Yields the first row and the cosines of some rows with all neurons."""
    size = group.shape[1]
    num_rows = max(1, min(size, _TILE_SIZE // size))
    for first in range(0, size, num_rows):
        rows = np.arange(first, min(first + num_rows, size))
        cosines = cosines_of(group[:, first : first + num_rows], group)
        if half_space:
            cosines = ops.abs(cosines)
        is_other = _are_others(rows, is_valid)
        yield first, ops.where(is_other, cosines, _NO_NEIGHBOR)


def _are_others(rows: np.ndarray, is_valid: np.ndarray) -> np.ndarray:
    """Which neurons each row is compared with, shape `(rows, neurons)`."""
    others: np.ndarray = is_valid & (rows[:, None] != np.arange(len(is_valid)))
    return others


def _exact_partners(
    group: Tensor, rows: np.ndarray, is_valid: np.ndarray, half_space: bool
) -> np.ndarray:
    """Nearest neurons of some rows by cosines in float64."""
    units = _unit(_to_numpy(group))
    cosines = units[:, rows].T @ units
    if half_space:
        cosines = np.abs(cosines)
    cosines[~_are_others(rows, is_valid)] = _NO_NEIGHBOR
    partners: np.ndarray = np.argmax(cosines, axis=1)
    return partners


def _angles(
    group: Tensor, rows: np.ndarray, partners: np.ndarray, half_space: bool
) -> np.ndarray:
    """Degrees between pairs; exact for small angles, unlike the arccosine."""
    first = _unit(_to_numpy(group[:, rows[0] : rows[-1] + 1]))
    second = _unit(_to_numpy(ops.take(group, partners, axis=1)))
    if half_space:
        second *= np.where(np.sum(first * second, axis=0) < 0.0, -1.0, 1.0)
    difference = np.linalg.norm(first - second, axis=0)
    total = np.linalg.norm(first + second, axis=0)
    degrees: np.ndarray = np.degrees(2.0 * np.arctan2(difference, total))
    return degrees


def _unit(columns: np.ndarray) -> np.ndarray:
    # In one order of the entries, so that equal columns have equal lengths.
    columns = np.ascontiguousarray(columns, "float64")
    lengths = np.linalg.norm(columns, axis=0)
    return columns / np.where(lengths > 0.0, lengths, 1.0)


def _counts(cosines: np.ndarray, num_degrees: int) -> np.ndarray:
    chosen = cosines[cosines > 0.5 * (_NO_NEIGHBOR - 1.0)]
    degrees = np.degrees(np.arccos(np.clip(chosen, -1.0, 1.0)))
    # 180 degrees, or 90 between lines, belong to the last one.
    last = np.minimum(degrees.astype("int64"), num_degrees - 1)
    return np.bincount(last, minlength=num_degrees)


def _to_numpy(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = ops.convert_to_numpy(tensor)
    return array

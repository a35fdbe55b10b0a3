"""What every loader of an open-set task returns: `IdentityData`.

A network is trained on some identities and verified on others: are these two
images of the same one?
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from common.dataset_types import DataError


class Images(Protocol):
    """A uint8 array `(num_images, height, width, channels)`, or like one.

    Images that do not fit into memory are decoded when they are asked for.
    """

    shape: tuple[int, ...]

    def __len__(self) -> int:
        """Number of images."""

    def __getitem__(self, index: Any) -> np.ndarray:
        """Returns the images of an integer array or of a slice."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of test images, in folds.

    Attributes:
        first: Indices into the test images, int64, shape `(num_pairs,)`.
        second: The other image of each pair, as `first`.
        is_same: Whether both show one identity, bool, shape `(num_pairs,)`.
        folds: Number of the fold of each pair, int64, shape `(num_pairs,)`.
    """

    first: np.ndarray
    second: np.ndarray
    is_same: np.ndarray
    folds: np.ndarray

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.is_same)


@dataclass(frozen=True)
class IdentityData:
    """Labelled images to train on, and pairs of other identities.

    Attributes:
        name: Name of the data set.
        x_train: Training images, in the order of their identities.
        y_train: Their identities, int64, shape `(num_train,)`, indices into
            `identity_names`.
        identity_names: One name per training identity.
        x_test: The images that the pairs are made of.
        pairs: The pairs.
        source: Where the images come from, for the record of a run.
    """

    name: str
    x_train: Images
    y_train: np.ndarray
    identity_names: tuple[str, ...]
    x_test: Images
    pairs: Pairs
    source: str


def draw_pairs(
    identities: np.ndarray, num_pairs: int, *, folds: int = 10, seed: int = 0
) -> Pairs:
    """Draws pairs as those of LFW: half the same, folds without common people.

    The identities are dealt to the folds. In a fold there are
    `num_pairs / folds / 2` pairs of the same identity, drawn over identities
    first and images then, so large identities count no more than small ones,
    and as many pairs of two identities. No pair occurs twice.

    Args:
        identities: Identity of each image, integers, shape `(num_images,)`.
        num_pairs: Number of pairs, a multiple of `2 * folds`.
        folds: Number of folds.
        seed: Integer >= 0. The same seed gives the same pairs.

    Returns:
        The pairs, sorted by fold, the same ones first.

    Raises:
        DataError: If a fold has not so many different pairs.
    """
    if folds < 1:
        raise ValueError(f"`folds` must be >= 1. Received: folds={folds}.")
    if num_pairs < 1 or num_pairs % (2 * folds):
        raise ValueError(
            f"`num_pairs` must be a multiple of {2 * folds}, twice the number "
            f"of folds. Received: num_pairs={num_pairs}."
        )
    generator = np.random.default_rng(seed)
    images_of = {i: np.flatnonzero(identities == i) for i in set(identities)}
    shuffled = generator.permutation(sorted(images_of))
    pairs: list[tuple[int, int, bool, int]] = []
    for fold in range(folds):
        members = [images_of[identity] for identity in shuffled[fold::folds]]
        for is_same in (True, False):
            wanted = num_pairs // folds // 2
            if wanted > _count_pairs(members, is_same):
                raise DataError(
                    f"{wanted} pairs of {'one' if is_same else 'two'} each are "
                    f"too many for the {len(members)} identities of fold "
                    f"{fold}. Ask for fewer pairs or folds, or give more "
                    "identities."
                )
            found: set[tuple[int, int]] = set()
            while len(found) < wanted:
                found.add(_draw_pair(members, is_same, generator))
            pairs += [(*pair, is_same, fold) for pair in sorted(found)]
    first, second, same, fold_of_pair = map(np.array, zip(*pairs, strict=True))
    return Pairs(first, second, same, fold_of_pair)


def _count_pairs(members: list[np.ndarray], is_same: bool) -> int:
    sizes = np.array([len(images) for images in members], dtype=np.int64)
    within = int((sizes * (sizes - 1) // 2).sum())
    total = int(sizes.sum())
    return within if is_same else total * (total - 1) // 2 - within


def _draw_pair(
    members: list[np.ndarray], is_same: bool, generator: np.random.Generator
) -> tuple[int, int]:
    if is_same:
        several = [images for images in members if len(images) > 1]
        images = several[generator.integers(len(several))]
        pair = generator.choice(images, 2, replace=False)
    else:
        both = generator.choice(len(members), 2, replace=False)
        pair = np.array([generator.choice(members[index]) for index in both])
    first, second = sorted(int(image) for image in pair)
    return first, second


class Subset:
    """Some of the images, decoded no sooner than they are asked for.

    Args:
        images: All images.
        chosen: Indices of those to keep, int64, shape `(num_images,)`.
    """

    def __init__(self, images: Images, chosen: np.ndarray) -> None:
        self._images = images
        self._chosen = chosen
        self.shape = (len(chosen), *images.shape[1:])

    def __len__(self) -> int:
        """Number of images."""
        return len(self._chosen)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Returns the images of an integer array or of a slice."""
        return self._images[self._chosen[index]]


def with_identities(data: IdentityData, count: int, seed: int) -> IdentityData:
    """Keeps so many of the training identities, drawn by the seed.

    Raises:
        DataError: If there are not so many.
    """
    total = len(data.identity_names)
    if count > total:
        raise DataError(
            f"--identities={count}, but there are {total} to train on. Give "
            "fewer."
        )
    kept = np.sort(np.random.default_rng(seed).permutation(total)[:count])
    chosen = np.flatnonzero(np.isin(data.y_train, kept))
    return replace(
        data,
        x_train=Subset(data.x_train, chosen),
        y_train=np.searchsorted(kept, data.y_train[chosen]),
        identity_names=tuple(data.identity_names[index] for index in kept),
    )

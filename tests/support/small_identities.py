"""Folders of small images, a folder for each identity."""

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 16
#: What the program is told of these images.
DATA = ["--dataset=folders", "--test_identities=20", "--num_pairs=40"]
#: The smallest settings: 3 steps before and 5 with the energy, in batches of
#: 12 of the 36 images to train on.
TRAINING = [
    "--network=small",
    "--embedding_size=8",
    "--batch_size=12",
    "--pretrain_epochs=1",
    "--steps=5",
]
SMALL = [*DATA, *TRAINING]


def write_pairs(root: Path) -> tuple[Path, Path]:
    """Writes a list of pairs as that of LFW, and the images that it names.

    Ten folds, of two people with two images each.

    Returns:
        The file and the folder.
    """
    folder = write_identities(root / "lfw", identities=20, images=2, seed=1)
    names = sorted(person.name for person in folder.iterdir())
    lines = ["10\t2"]
    for one, other in zip(names[::2], names[1::2], strict=True):
        lines += [f"{one}_test\t1\t2", f"{other}_test\t1\t2"]
        lines += [f"{one}_test\t{k}\t{other}_test\t{k}" for k in (1, 2)]
    for name in names:
        person = (folder / name).rename(folder / f"{name}_test")
        for index in (0, 1):
            file = f"{person.name}_{index + 1:04}.png"
            (person / f"{index:04}.png").rename(person / file)
    path = root / "pairs.txt"
    path.write_text("\n".join(lines) + "\n")
    return path, folder


def write_identities(
    root: Path, identities: int = 26, images: int = 6, seed: int = 0
) -> Path:
    """Writes noisy images of a pattern for each identity; returns the root."""
    generator = np.random.default_rng(seed)
    for identity in range(identities):
        folder = root / f"person_{identity:02}"
        folder.mkdir(parents=True)
        pattern = (
            generator.integers(0, 256, (4, 4, 3)).repeat(4, 0).repeat(4, 1)
        )
        for index in range(images):
            noise = generator.normal(0, 20, (SIDE, SIDE, 3))
            pixels = np.clip(pattern + noise, 0, 255).astype("uint8")
            Image.fromarray(pixels).save(folder / f"{index:04}.png")
    return root

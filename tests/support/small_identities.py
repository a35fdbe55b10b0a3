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


def write_identities(root: Path, identities: int = 26, images: int = 6) -> Path:
    """Writes noisy images of a pattern for each identity; returns the root."""
    generator = np.random.default_rng(0)
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

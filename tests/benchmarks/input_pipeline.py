"""How much of a training step the augmented batch costs.

    KERAS_BACKEND=torch python tests/benchmarks/input_pipeline.py

Draws batches of 128 images as the image program does, trains CNN-9 at a
quarter of its width on them, and prints the ratio of both times, medians of
one process.
"""

import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from classification.batches import TrainingBatches
from classification.methods import Method
from classification.network import cnn9
from classification.recipes import SHORT, compile_model

BATCH_SIZE = 128
ROUNDS = 7


def main() -> None:
    """Prints the ratio."""
    generator = np.random.default_rng(0)
    batches = TrainingBatches(
        generator.integers(0, 256, (5000, 32, 32, 3)).astype("uint8"),
        generator.integers(0, 10, 5000),
        num_classes=10,
        batch_size=BATCH_SIZE,
        augmentation="crop_flip",
        seed=0,
    )
    model = cnn9(
        (32, 32, 3),
        10,
        method=Method("half_mhe", "2"),
        width=0.25,
        weight_decay=5e-4,
        batch_norm_momentum=0.9,
    )
    compile_model(model, SHORT["cifar10"], 0.01, 1000)
    model.train_on_batch(*batches[0])
    drawing, training = [], []
    for index in range(1, ROUNDS + 1):
        start = time.perf_counter()
        batch = batches[index]
        middle = time.perf_counter()
        model.train_on_batch(*batch)
        drawing.append(middle - start)
        training.append(time.perf_counter() - middle)
    ratio = median(drawing) / median(training)
    print(
        f"drawing a batch of {BATCH_SIZE}: {ratio:.2%} of the time of its "
        "training step"
    )


if __name__ == "__main__":
    main()

"""Proves the energy's numbers on an accelerator, and measures it there.

    KERAS_BACKEND=torch python docs/benchmarks/gpu.py

Compares values and gradients with float64 NumPy, at the precision of products
that the backend has by default and at the lower one that training scripts
choose; tries degenerate kernels; then measures added memory, time by the size
of the tiles, and a training step of the paper's CNN-9. Prints a table, and ends
with exit code 1 if a number is wrong. Takes a few minutes; `--quick` tries the
program with small sizes, on a CPU too. TensorFlow needs a build for GPUs.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np
from keras import ops

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.frameworks import BACKEND, MODES, value_and_grad, wait
from benchmarks.textbook import two_products
from benchmarks.timing import interleaved
from keras_mhe import MHE
from keras_mhe.ops import hyperspherical_energy
from support.near_pairs import energy_and_gradient, kernel_with_pair

#: A result: what was tried, what came out, and whether it is right.
Row = tuple[str, str, bool | None]


def main(arguments: list[str] | None = None) -> int:
    """Prints the results; returns 1 if one of them is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes")
    quick = parser.parse_args(arguments).quick
    print(f"{BACKEND}, {device()}", flush=True)
    failures = 0
    for part in (parity, degenerate, memory, tiles, training_step):
        for name, result, is_right in part(quick):
            mark = {True: "right", False: "WRONG", None: ""}[is_right]
            print(f"{name:44} {result:34} {mark}", flush=True)
            failures += is_right is False
    return int(failures > 0)


def evaluated(weights: np.ndarray, **form: Any) -> tuple[float, np.ndarray]:
    """Value and gradient on the device."""
    both = value_and_grad(partial(hyperspherical_energy, **form), MODES[0])
    value, gradients = both(ops.convert_to_tensor(weights))
    return float(value), ops.convert_to_numpy(gradients[0])


def parity(quick: bool) -> Iterator[Row]:
    """Near pairs at each precision, against differences in float64."""
    for precision in precisions():
        for dim in (64, 576, 10_000)[: 2 if quick else 3]:
            for separation in (0.01, 0.1):
                for half_space in (False, True):
                    weights = kernel_with_pair(dim, 32, separation)
                    value, gradient = energy_and_gradient(weights, half_space)
                    found, slopes = evaluated(weights, half_space=half_space)
                    error = abs(found / value - 1.0)
                    slope_error = np.abs(slopes - gradient).max()
                    slope_error /= np.abs(gradient).max()
                    space = "half" if half_space else "full"
                    yield (
                        f"{precision}: pair at {separation}, {dim}, {space}",
                        f"value {error:.1e}, gradient {slope_error:.1e}",
                        bool(error < 0.01 and slope_error < 0.02),
                    )


def precisions() -> Iterator[str]:
    """Sets each precision of float32 products, and names it."""
    yield "default"
    if BACKEND == "torch":
        import torch

        torch.set_float32_matmul_precision("high")
        yield "high"
        torch.set_float32_matmul_precision("highest")
    elif BACKEND == "jax":
        import jax

        with jax.default_matmul_precision("tensorfloat32"):
            yield "tensorfloat32"


def degenerate(quick: bool) -> Iterator[Row]:
    """Kernels for which the textbook formula fails."""
    zeros = np.zeros((9, 16), "float32")
    one_nan = np.ones((9, 16), "float32")
    one_nan[0, 0] = math.nan
    for name, weights in {
        "zeros": zeros,
        "one NaN": one_nan,
        "ones of 9 entries": np.ones((9, 16), "float32"),
        "ones of 25,088 entries": np.ones((25_088, 33), "float32"),
    }.items():
        value, gradient = evaluated(weights)
        is_right = math.isfinite(value) and not gradient.any()
        if name.startswith("ones"):
            is_right = is_right and abs(value / 524_288 - 1.0) < 1e-5
        size = np.abs(gradient).max()
        yield name, f"value {value:g}, gradient {size:g}", bool(is_right)


def memory(quick: bool) -> Iterator[Row]:
    """What an evaluation with many neurons adds at its peak."""
    num_neurons, dim = (2_000, 64) if quick else (60_000, 512)
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(dim, num_neurons)).astype("float32")
    before = peak_bytes()
    evaluated(weights)
    if before is None:
        yield "added memory", "not known for this device", None
        return
    added = (peak_bytes() - before) / 2**20
    kernel = weights.nbytes / 2**20
    # A few copies of the kernel and of a tile, not a table of 13 GiB.
    yield (
        f"added memory, {num_neurons:,} neurons of {dim}",
        f"{added:.0f} MiB (kernel {kernel:.0f} MiB)",
        added < 8 * kernel + 1024,
    )


def tiles(quick: bool) -> Iterator[Row]:
    """Time of tiles of several sizes, over that of the two products."""
    sizes = (512,) if quick else (8_192, 32_768)
    edges = (256,) if quick else (1_024, 2_048, 4_096, 8_192, 16_384)
    generator = np.random.default_rng(0)
    for num_neurons in sizes:
        weights = generator.normal(size=(512, num_neurons)).astype("float32")
        weights = ops.convert_to_tensor(weights)
        products = two_products
        if BACKEND == "jax":
            import jax

            products = jax.jit(two_products)
        contenders = {"products": partial(finished, products, weights)}
        for edge in ("auto", *(e for e in edges if e < num_neurons)):
            both = value_and_grad(
                partial(hyperspherical_energy, block_size=edge), MODES[0]
            )
            contenders[str(edge)] = partial(finished, both, weights)
        times, errors = interleaved(contenders, rounds=5, least_seconds=0.02)
        limit = median(times.pop("products"))
        for edge, seconds in times.items():
            share = median(seconds) / limit
            yield (
                f"{num_neurons:,} neurons of 512, tiles of {edge}",
                f"{1e3 * median(seconds):.1f} ms, {share:.2f} x products",
                None,
            )
        for edge, message in errors.items():
            yield f"{num_neurons:,} neurons, tiles of {edge}", message, False


def training_step(quick: bool) -> Iterator[Row]:
    """A step of the paper's CNN-9 with and without the energy."""
    batch = 8 if quick else 128
    images = np.random.default_rng(0).normal(size=(batch, 32, 32, 3))
    labels = np.arange(batch) % 100
    contenders = {}
    for name, term in {
        "without": None,
        "with": MHE(1.0, half_space=True),
    }.items():
        model = cnn9(term, width=8 if quick else 64)
        model.compile(
            keras.optimizers.SGD(0.01, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        contenders[name] = partial(model.train_on_batch, images, labels)
    times, _ = interleaved(
        {
            name: lambda run=run: float(run())
            for name, run in contenders.items()
        },
        rounds=5,
        least_seconds=0.1,
    )
    without, with_energy = (median(times[k]) for k in ("without", "with"))
    yield (
        f"CNN-9, a step of {batch} images",
        f"{1e3 * without:.1f} ms, with MHE {1e3 * with_energy:.1f} ms",
        None,
    )


def finished(function: Any, *tensors: Any) -> None:
    """Calls a function and waits for its result."""
    wait(function(*tensors))


def cnn9(term: Any, width: int) -> Any:
    """The network of the paper's CIFAR-100 experiment."""
    options = {"use_bias": False, "kernel_regularizer": term}
    stack: list[Any] = [keras.Input((32, 32, 3))]
    for filters in (width, 2 * width, 4 * width):
        for _ in range(3):
            stack += [
                keras.layers.Conv2D(filters, 3, padding="same", **options),
                keras.layers.BatchNormalization(),
                keras.layers.ReLU(),
            ]
        stack.append(keras.layers.MaxPooling2D())
    stack += [
        keras.layers.Conv2D(4 * width, 4, **options),
        keras.layers.Flatten(),
        keras.layers.Dense(100, **options),
    ]
    return keras.Sequential(stack)


def device() -> str:
    """Names what computes."""
    if BACKEND == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
        return "CPU"
    if BACKEND == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return found[0].name if found else "CPU"


def peak_bytes() -> int | None:
    """Most bytes in use on the device so far, if it counts them."""
    if BACKEND == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
        return None
    if BACKEND == "jax":
        import jax

        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return None
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


if __name__ == "__main__":
    sys.exit(main())

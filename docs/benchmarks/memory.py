"""Peak memory and time of one evaluation in a process of its own.

`python memory.py JOB` with a job in JSON prints its result in JSON.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

#: Rounds of a timed evaluation, and seconds after which no other begins.
ROUNDS = 5
SECONDS = 8.0


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Runs a job in a new process.

    Args:
        job: `implementation` (`"library"` or `"textbook"`), `num_neurons`,
            `dim`, `num_anchors`, and `square`, the size of the matrices whose
            product gives the machine's rate.

    Returns:
        `added_bytes` at the peak of the first call, compilation included;
        `seconds` of a later call; and `flops`, the rate of the product of two
        square matrices, measured in turns with it.
    """
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), json.dumps(job)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        return {"error": f"exit code {done.returncode}: {lines[-1]}"[:200]}
    return json.loads(done.stdout.splitlines()[-1])


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Runs a job in this process; see `measure`."""
    import numpy as np
    from keras import ops

    from benchmarks import frameworks

    mode = frameworks.MODES[0]
    function = frameworks.value_and_grad(_energy(job, mode), mode)
    product = frameworks.compiled(ops.matmul, mode)
    generator = np.random.default_rng(0)

    def random(*shape: int) -> Any:
        numbers = generator.standard_normal(shape, dtype="float32")
        return ops.convert_to_tensor(numbers)

    tiny = dict(job, num_neurons=64, num_anchors=min(job["num_anchors"], 4))
    warm_up = frameworks.value_and_grad(_energy(tiny, mode), mode)
    frameworks.wait(warm_up(random(job["dim"], 64)))
    weights = random(job["dim"], job["num_neurons"])
    frameworks.wait(weights)

    before = _status("VmRSS")
    # Forgets an earlier peak, where the system lets us.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    frameworks.wait(function(weights))
    added = _status("VmHWM") - before

    square = random(job["square"], job["square"])
    frameworks.wait(product(square, square))
    energies, products = [], []
    while len(energies) < ROUNDS and sum(energies) < SECONDS:
        products.append(_seconds(frameworks.wait, product, square, square))
        energies.append(_seconds(frameworks.wait, function, weights))
        products.append(_seconds(frameworks.wait, product, square, square))
    return {
        "added_bytes": added,
        "seconds": float(f"{median(energies):.4g}"),
        "flops": float(f"{2 * job['square'] ** 3 / median(products):.4g}"),
    }


def _energy(job: dict[str, Any], mode: str) -> Callable[[Any], Any]:
    import numpy as np
    from keras import ops

    from benchmarks.textbook import textbook_energy
    from keras_mhe.ops import hyperspherical_energy

    if job["implementation"] == "textbook":
        return lambda weights: textbook_energy(
            weights, power=2, distance="euclidean", half_space=False
        )
    if not job["num_anchors"]:
        return lambda weights: hyperspherical_energy(weights, power=2)
    generator = np.random.default_rng(1)
    anchors = generator.integers(0, job["num_neurons"], job["num_anchors"])
    anchors = ops.convert_to_tensor(anchors, dtype="int32")
    return lambda weights: hyperspherical_energy(
        weights, power=2, anchors=anchors
    )


def _seconds(wait: Callable[[Any], None], function: Any, *args: Any) -> float:
    start = time.perf_counter()
    wait(function(*args))
    return time.perf_counter() - start


def _status(field: str) -> int:
    """Bytes of a field of this process' status (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"the system does not report {field}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    print(json.dumps(run(json.loads(sys.argv[1]))))

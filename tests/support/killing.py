"""Starts an example program that kills itself with SIGKILL at a moment.

`run_and_kill` does so in another process, for which this file is a script:
`python killing.py PROGRAM MOMENT COUNT ARGUMENT ...`.
"""

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def run_and_kill(
    program: str, arguments: Sequence[str], moment: str, count: int
) -> None:
    """Runs a program in a process that dies at the `count`-th such moment."""
    finished = subprocess.run(
        [sys.executable, __file__, program, moment, str(count), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == -signal.SIGKILL, finished.stderr


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(moment: str, count: int) -> None:
    """Makes the process kill itself at the `count`-th such moment."""
    import keras

    seen = 0

    def reached() -> bool:
        nonlocal seen
        seen += 1
        return seen == count

    def half_written(write: Callable[..., Any]) -> Callable[..., Any]:
        def write_half(model: Any, path: Path, *args: Any) -> None:
            write(model, path, *args)
            if reached():
                content = Path(path).read_bytes()
                Path(path).write_bytes(content[: len(content) // 2])
                _die()

        return write_half

    if moment == "half_backup":
        keras.Model.save_weights = half_written(keras.Model.save_weights)
    elif moment == "half_best":
        keras.Model.save = half_written(keras.Model.save)
    elif moment in ("before_move", "metrics"):
        names = {"before_move": "backup.weights.h5", "metrics": "metrics.json"}
        move = os.replace

        def replace(source: Any, target: Any) -> None:
            if Path(target).name == names[moment] and reached():
                _die()
            move(source, target)

        os.replace = replace
    elif moment == "end":
        from common.checkpoints import Checkpoints

        Checkpoints.on_train_end = lambda *_: _die()
    elif moment == "batch":
        from common.callbacks import StopAfter

        count_step = StopAfter.on_train_batch_end

        def on_train_batch_end(self: Any, batch: int, logs: Any = None) -> None:
            if reached():
                _die()
            count_step(self, batch, logs)

        StopAfter.on_train_batch_end = on_train_batch_end
    else:
        raise ValueError(f"unknown moment {moment!r}")


if __name__ == "__main__":
    examples = Path(__file__).resolve().parents[2] / "examples"
    sys.path.insert(0, str(examples))
    _arm(sys.argv[2], int(sys.argv[3]))
    sys.exit(importlib.import_module(sys.argv[1]).main(sys.argv[4:]))

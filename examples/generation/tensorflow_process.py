"""Runs the programs of this folder that need TensorFlow, on any backend."""

import os
import subprocess
import sys
from pathlib import Path

from common.dataset_types import DataError
from common.install_commands import GAN, missing_packages

#: Import names and packages. tensorflow-hub reads its version by the last.
PACKAGES = {
    "tensorflow": "tensorflow",
    "tensorflow_gan": "tensorflow-gan",
    "pkg_resources": "setuptools<81",
}


def require_packages() -> None:
    """Raises `DataError` if TensorFlow or TensorFlow-GAN is not installed."""
    missing = missing_packages(PACKAGES)
    if missing:
        raise DataError(
            f"scores need {' and '.join(missing)}, on every backend. "
            f"Run: {GAN}. A single run trains without, by --no-scores."
        )


def run_with_tensorflow(program: str, *arguments: str) -> None:
    """Runs a program of this folder in a process of its own.

    Two frameworks in one process share threads and memory badly. What the
    program prints is shown; what it finds goes to files.

    Args:
        program: File name.
        *arguments: Its arguments.

    Raises:
        DataError: If it fails, with the last line of its errors.
    """
    finished = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(program)), *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if finished.returncode:
        lines = finished.stderr.strip().splitlines()
        if not lines:
            raise DataError(
                f"{program} ended without a message, exit code "
                f"{finished.returncode}. Lower --scored if memory ran out."
            )
        last = lines[-1]
        if "ImportError" in last or "ModuleNotFoundError" in last:
            raise DataError(
                "scores need TensorFlow, TensorFlow-GAN and setuptools < 81 "
                f"({last}). Run: {GAN}"
            )
        raise DataError(f"{program} failed: {last}")

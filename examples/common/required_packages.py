"""Ends a training program in one line if something is not installed.

Programs import this module first, since the others need the packages.
"""

import importlib
import sys

from common.install_commands import EXAMPLES, missing_packages

# Import names and what they are called elsewhere.
PACKAGES = {
    "numpy": "numpy",
    "keras": "keras",
    "keras_mhe": "keras-mhe",
    "matplotlib": "matplotlib",
    "PIL": "pillow",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
}


def _leave(message: str) -> None:
    print(" ".join(message.split()), file=sys.stderr)
    sys.exit(2)


_missing = missing_packages(PACKAGES)
if _missing:
    _leave(f"{', '.join(_missing)} not installed. Run: {EXAMPLES}")
try:
    importlib.import_module("keras_mhe")
except (ImportError, ValueError) as _error:
    _leave(
        f"Keras cannot start its backend ({_error}). Set KERAS_BACKEND to one "
        "that is installed: tensorflow, jax or torch."
    )

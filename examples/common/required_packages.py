"""Ends a training program in one line if a package is missing.

Programs import this module first, since the others need the packages.
"""

import importlib.util
import sys

from common.dataset_types import INSTALL_COMMAND

# Import names and what they are called elsewhere.
PACKAGES = {
    "matplotlib": "matplotlib",
    "PIL": "pillow",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
}

_missing = [
    package
    for module, package in PACKAGES.items()
    if importlib.util.find_spec(module) is None
]
if _missing:
    print(
        f"{', '.join(_missing)} not installed. Run: {INSTALL_COMMAND}",
        file=sys.stderr,
    )
    sys.exit(2)

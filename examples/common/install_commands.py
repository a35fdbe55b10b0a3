"""What a program misses, and the commands that install it."""

import importlib.util
from collections.abc import Mapping

_FOLDER = "in the folder of this repository"
EXAMPLES = f'pip install ".[examples]" {_FOLDER}'
GAN = f'pip install ".[gan]" {_FOLDER}'


def missing_packages(packages: Mapping[str, str]) -> list[str]:
    """Returns what is not installed of packages by their import names."""
    return [
        package
        for module, package in packages.items()
        if importlib.util.find_spec(module) is None
    ]

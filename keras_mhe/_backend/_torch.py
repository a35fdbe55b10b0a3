"""PyTorch's side of `keras_mhe._backend`."""

from typing import Any

import numpy as np
import torch


def known_values(indices: Any) -> np.ndarray | None:
    """Returns the values of `indices`, or `None` while they have none."""
    if torch.compiler.is_compiling() or indices.device.type == "meta":
        return None
    values: np.ndarray = indices.detach().cpu().numpy()
    return values


def arctan2(sine: Any, cosine: Any) -> Any:
    """Returns the angle of each point, in the dtype of its coordinates."""
    return torch.atan2(sine, cosine)

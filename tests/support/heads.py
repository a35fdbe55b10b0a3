"""Heads under test, and the logits they should give in float64."""

import math

import numpy as np

from keras_mhe.layers import (
    AngularMargin,
    ArcFace,
    CosFace,
    SphereFace,
    SphereFace2,
    SphereFaceR,
)
from support.tensors import as_array

UNITS, DIM = 5, 3

#: Makes a head with arguments that are not the defaults.
HEADS = {
    "AngularMargin": lambda **kw: AngularMargin(UNITS, scale=8.0, **kw),
    "CosFace": lambda **kw: CosFace(UNITS, 0.2, 8.0, **kw),
    "ArcFace": lambda **kw: ArcFace(UNITS, 0.3, 8.0, **kw),
    "SphereFace-1": lambda **kw: SphereFace(UNITS, 1, **kw),
    "SphereFace-4": lambda **kw: SphereFace(UNITS, 4, lambda_base=9.0, **kw),
    "SphereFaceR": lambda **kw: SphereFaceR(UNITS, 1.4, 8.0, **kw),
    "SphereFaceR-none": lambda **kw: SphereFaceR(
        UNITS, 1.4, feature_norm="none", **kw
    ),
    "SphereFaceR-soft": lambda **kw: SphereFaceR(
        UNITS, 2, 8.0, feature_norm="soft", soft_weight=0.1, **kw
    ),
    "SphereFace2": lambda **kw: SphereFace2(UNITS, 0.3, 8.0, **kw),
}

#: Heads that go with a softmax, and whose classes can be drawn.
SOFTMAX_HEADS = [name for name in HEADS if name != "SphereFace2"]


def psi(cosine, margin):
    angle = math.acos(min(max(cosine, -1.0), 1.0))
    turn = math.floor(margin * angle / math.pi)
    return (-1) ** turn * math.cos(margin * angle) - 2 * turn


def expected_logits(head, features, labels, step=0, kernel=None):
    """Logits by loops; `labels` is None for plain ones.

    Of the head's kernel, or of another one.
    """
    if kernel is None:
        kernel = as_array(head.kernel)
    kernel = np.asarray(kernel, "float64")
    features = np.asarray(features, "float64")
    logits = np.zeros((len(features), UNITS))
    for row, feature in enumerate(features):
        norm = np.linalg.norm(feature)
        for unit in range(UNITS):
            vector = kernel[:, unit]
            cosine = feature @ vector / (norm * np.linalg.norm(vector))
            is_own = None if labels is None else unit == labels[row]
            logits[row, unit] = logit(head, cosine, norm, is_own, step)
    return logits


def logit(head, cosine, norm, is_own, step):
    """One logit; `is_own` is None without a margin."""
    if isinstance(head, SphereFace2):
        similarity = 2 * ((cosine + 1) / 2) ** head.adjustment - 1
        if is_own is not None:
            similarity += -head.margin if is_own else head.margin
        bias = float(as_array(head.bias)[0])
        return head.scale * similarity + bias
    if is_own:
        cosine = own_cosine(head, cosine, step)
    keeps_norm = isinstance(head, SphereFace) or (
        isinstance(head, SphereFaceR) and head.feature_norm != "hard"
    )
    return (norm if keeps_norm else head.scale) * cosine


def own_cosine(head, cosine, step):
    if isinstance(head, CosFace):
        return cosine - head.margin
    if isinstance(head, ArcFace):
        angle = math.acos(cosine)
        if angle + head.margin > math.pi:
            return cosine - head.margin * math.sin(head.margin)
        return math.cos(angle + head.margin)
    if isinstance(head, SphereFaceR):
        return psi(cosine, head.margin)
    if isinstance(head, SphereFace):
        done = head.lambda_start + step + 1
        annealed = head.lambda_base * (1 + head.lambda_gamma * done) ** (
            -head.lambda_power
        )
        share = max(head.lambda_min, annealed)
        return (share * cosine + psi(cosine, head.margin)) / (share + 1)
    return cosine

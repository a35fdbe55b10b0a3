"""Heads of pytorch-metric-learning that are defined as the library's."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from pytorch_metric_learning import losses

from keras_mhe.layers import ArcFace, CosFace, SphereFace

NUM_CLASSES, DIM = 10, 16


@dataclass(frozen=True)
class Pair:
    """A head of the library, and the loss that should be the same."""

    head: Callable
    loss: Callable


def sphereface(margin):
    """Without annealing, of which the other library has none."""
    return Pair(
        partial(
            SphereFace, NUM_CLASSES, margin, lambda_base=0.0, lambda_min=0.0
        ),
        partial(losses.SphereFaceLoss, margin=margin),
    )


OTHERS = {
    "SphereFace-1": sphereface(1),
    "SphereFace-2": sphereface(2),
    "SphereFace-3": sphereface(3),
    "SphereFace-4": sphereface(4),
    # Its margin is in degrees.
    "ArcFace": Pair(
        partial(ArcFace, NUM_CLASSES, 0.5, 16.0),
        partial(losses.ArcFaceLoss, margin=math.degrees(0.5), scale=16),
    ),
    "ArcFace-wide": Pair(
        partial(ArcFace, NUM_CLASSES, 1.5, 4.0),
        partial(losses.ArcFaceLoss, margin=math.degrees(1.5), scale=4),
    ),
    "CosFace": Pair(
        partial(CosFace, NUM_CLASSES, 0.35, 64.0),
        partial(losses.CosFaceLoss, margin=0.35, scale=64),
    ),
}


def loss_and_gradients(name, features, kernel, labels):
    """The loss, and its gradients by features and class vectors."""
    loss = OTHERS[name].loss(num_classes=NUM_CLASSES, embedding_size=DIM)
    loss.W.data = torch.tensor(kernel)
    features = torch.tensor(features, requires_grad=True)
    value = loss(features, torch.tensor(labels).long())
    value.backward()
    return float(value.detach()), features.grad.numpy(), loss.W.grad.numpy()

"""Losses and gradients of the programs that others published."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe.layers import (
    AngularMargin,
    ArcFace,
    CosFace,
    SphereFace2,
    SphereFaceR,
)
from keras_mhe.losses import OneVsAllCrossentropy
from support.gradients import FASTEST, replaced, value_and_grad
from support.published import published
from support.tensors import assert_near

REFERENCE = published("heads.npz")
FEATURES = REFERENCE["x"]
LABELS = REFERENCE["y"].astype("int32")
KERNEL = REFERENCE["w"].T

#: As OpenSphere trains them, with the gradient of the plain cosine.
HEADS = {
    "SphereFace:s=30.0,m=1.7": SphereFaceR(
        10, 1.7, 30.0, gradient_detachment=True
    ),
    "SphereFace:s=64.0,m=1.5": SphereFaceR(
        10, 1.5, 64.0, gradient_detachment=True
    ),
    "CosFace:s=64.0,m=0.35": CosFace(10),
    "ArcFace:s=64.0,m=0.5": ArcFace(10, gradient_detachment=True),
    "CocoLoss:s=30.0": AngularMargin(10, scale=30.0),
    "SphereFace2:": SphereFace2(10, gradient_detachment=True),
}


def loss_of(head):
    if isinstance(head, SphereFace2):
        return OneVsAllCrossentropy(head.positive_weight, 50.0 / head.scale)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def by_features_and_kernel(head):
    """The loss with its gradients by features and by class vectors."""

    def loss(features, labels, kernel):
        with replaced(head, head.kernel, kernel):
            logits = head((features, labels), training=True)
        return loss_of(head)(labels, logits)

    features = ops.convert_to_tensor(FEATURES)
    vectors = ops.convert_to_tensor(KERNEL)
    return [
        value_and_grad(function, x, LABELS, mode=FASTEST)
        for function, x in (
            (lambda x, labels: loss(x, labels, vectors), FEATURES),
            (lambda x, labels: loss(features, labels, x), KERNEL),
        )
    ]


def test_every_published_head_is_compared():
    published = {key.rsplit(":", 1)[0] for key in REFERENCE if ":" in key}
    assert published == set(HEADS)


@pytest.mark.parametrize("name", HEADS)
def test_opensphere(name):
    head = HEADS[name]
    head.build((None, 16))
    by_x, by_w = by_features_and_kernel(head)
    assert_near(by_x.value, REFERENCE[f"{name}:loss"], 2e-4)
    assert_near(by_x.gradient, REFERENCE[f"{name}:grad_x"], 2e-4)
    # OpenSphere overwrites its class vectors with unit vectors and takes the
    # gradient by those, outside of the graph of the normalisation.
    gradient = REFERENCE[f"{name}:grad_w"]
    if gradient.shape != KERNEL.shape:
        gradient = gradient.T
    norms = np.linalg.norm(KERNEL, axis=0)
    unit = KERNEL / norms
    projected = (gradient - (gradient * unit).sum(axis=0) * unit) / norms
    assert_near(by_w.gradient, projected, 2e-4)


if keras.backend.backend() == "torch":
    from support.metric_learning import OTHERS, loss_and_gradients

    # What the other library does with NumPy.
    @pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
    @pytest.mark.parametrize("name", OTHERS)
    def test_pytorch_metric_learning(name):
        """The same definitions: gradients through the margin, too."""
        head = OTHERS[name].head()
        head.build((None, 16))
        expected = loss_and_gradients(name, FEATURES, KERNEL, LABELS)
        by_x, by_w = by_features_and_kernel(head)
        actual = (by_x.value, by_x.gradient, by_w.gradient)
        for one, other in zip(actual, expected, strict=True):
            assert_near(one, other, 2e-4)

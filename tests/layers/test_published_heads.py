"""Losses and gradients of the programs that others published."""

from pathlib import Path

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
from support.gradients import FASTEST, value_and_grad

with np.load(Path(__file__).parents[1] / "reference/heads.npz") as file:
    REFERENCE = dict(file)
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


def with_kernel(head, features, labels, kernel):
    """The loss as a pure function of features and class vectors."""
    state = [(variable, variable.value) for variable in head.variables]
    with keras.StatelessScope([*state, (head.kernel, kernel)]):
        return loss_of(head)(labels, head((features, labels), training=True))


def by_features(head):
    kernel = ops.convert_to_tensor(KERNEL)
    return value_and_grad(
        lambda features, labels: with_kernel(head, features, labels, kernel),
        FEATURES,
        LABELS,
        mode=FASTEST,
    )


def by_kernel(head, kernel):
    features = ops.convert_to_tensor(FEATURES)
    return value_and_grad(
        lambda kernel, labels: with_kernel(head, features, labels, kernel),
        kernel,
        LABELS,
        mode=FASTEST,
    )


def assert_close(actual, expected):
    np.testing.assert_allclose(
        actual, expected, atol=2e-4 * np.abs(expected).max()
    )


def test_every_published_head_is_compared():
    published = {key.rsplit(":", 1)[0] for key in REFERENCE if ":" in key}
    assert published == set(HEADS)


@pytest.mark.parametrize("name", HEADS)
def test_opensphere(name):
    head = HEADS[name]
    head.build((None, 16))
    actual = by_features(head)
    assert_close(actual.value, REFERENCE[f"{name}:loss"])
    assert_close(actual.gradient, REFERENCE[f"{name}:grad_x"])
    # OpenSphere overwrites its class vectors with unit vectors and takes the
    # gradient by those, outside of the graph of the normalisation.
    gradient = REFERENCE[f"{name}:grad_w"]
    if gradient.shape != KERNEL.shape:
        gradient = gradient.T
    norms = np.linalg.norm(KERNEL, axis=0)
    unit = KERNEL / norms
    projected = (gradient - (gradient * unit).sum(axis=0) * unit) / norms
    assert_close(by_kernel(head, KERNEL).gradient, projected)


if keras.backend.backend() == "torch":
    from support.metric_learning import OTHERS, loss_and_gradients

    # What the other library does with NumPy.
    @pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
    @pytest.mark.parametrize("name", OTHERS)
    def test_pytorch_metric_learning(name):
        """The same definitions: gradients through the margin, too."""
        head = OTHERS[name].head()
        head.build((None, 16))
        value, by_x, by_w = loss_and_gradients(name, FEATURES, KERNEL, LABELS)
        actual = by_features(head)
        assert_close(actual.value, value)
        assert_close(actual.gradient, by_x)
        assert_close(by_kernel(head, KERNEL).gradient, by_w)

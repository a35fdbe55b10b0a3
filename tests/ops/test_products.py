"""Matrix products on units that round their factors to 10 bits (TF32)."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe import _backend
from keras_mhe.analysis import audit_features
from keras_mhe.ops import hyperspherical_energy
from support.gradients import value_and_grad
from support.near_pairs import energy_and_gradient, kernel_with_pair
from support.tensors import as_array, assert_near

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "jax",
    reason="JAX is asked for full precision by an argument",
)

_module = _backend._module


@pytest.fixture
def rounding_units(monkeypatch):
    """Rounds the factors of each product as TF32 units do."""
    product = _module._product

    def rounded(matrix):
        bits = as_array(matrix).view("int32") + (1 << 12)
        return ops.convert_to_tensor((bits & -(1 << 13)).view("float32"))

    def rounded_product(first, second, *transposes):
        return product(rounded(first), rounded(second), *transposes)

    monkeypatch.setattr(_module, "_product", rounded_product)
    monkeypatch.setattr(_module, "_rounds", lambda *device: True)


def evaluate(weights, **form):
    return value_and_grad(
        lambda tensor: hyperspherical_energy(tensor, **form), weights
    )


@pytest.mark.usefixtures("rounding_units")
@pytest.mark.parametrize(
    ("dim", "separation"), [(9, 0.01), (64, 0.1), (1000, 0.01)]
)
@pytest.mark.parametrize("half_space", [False, True])
def test_near_neurons_keep_their_distance(half_space, separation, dim):
    weights = kernel_with_pair(dim, 6, separation, seed=dim)
    value, gradient = energy_and_gradient(weights, half_space)
    actual = evaluate(weights, half_space=half_space)
    np.testing.assert_allclose(actual.value, value, rtol=1e-2)
    assert_near(actual.gradient, gradient, 2e-2)
    row = audit_features(weights.T, half_space=half_space)[0]
    assert row.nearest == (0, 5)
    angle = np.degrees(2.0 * np.arcsin(separation / 2.0))
    np.testing.assert_allclose(row.min_angle, angle, rtol=1e-3)


@pytest.mark.usefixtures("rounding_units")
def test_equal_neurons_stay_equal():
    actual = evaluate(np.ones((2304, 7)))
    np.testing.assert_allclose(actual.value, 524288.0, rtol=1e-6)
    assert not actual.gradient.any()


def test_nothing_is_split_where_nothing_rounds(monkeypatch):
    monkeypatch.delattr(_module, "_high_part")
    evaluate(np.ones((4, 3)))


@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="a setting of PyTorch"
)
@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_precision_of_the_process_is_left_as_it_is(precision):
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        weights = kernel_with_pair(64, 6, 0.01)
        value, _ = energy_and_gradient(weights, half_space=False)
        np.testing.assert_allclose(evaluate(weights).value, value, rtol=1e-2)
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)

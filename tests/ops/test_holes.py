"""Polarization and covering: the holes that are found, and gradients there."""

import numpy as np
import pytest

from keras_mhe.ops import covering, polarization
from support import numpy_relatives as numpy_forms
from support.gradients import FASTEST, value_and_grad
from support.tensors import as_float

RNG = np.random.default_rng(0)
NAMES = ["polarization", "angular polarization", "covering"]
HOLES = [
    (polarization, {"power": 2, "distance": "euclidean"}),
    (polarization, {"power": 0, "distance": "angular"}),
    (covering, {"precision": 10.0}),
]


def kernel_of(shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


@pytest.mark.parametrize("half_space", [False, True])
@pytest.mark.parametrize(("function", "options"), HOLES, ids=NAMES)
def test_holes_are_those_of_a_fine_search(function, options, half_space):
    kernel = kernel_of((3, 14))
    form = {**options, "half_space": half_space}
    of_places = (
        numpy_forms.mean_potentials
        if function is polarization
        else numpy_forms.soft_distances
    )
    # Points on a spiral, about a degree apart.
    height = np.linspace(-1.0, 1.0, 40_000)
    turn = np.arange(len(height)) * np.pi * (3.0 - np.sqrt(5.0))
    radius = np.sqrt(1.0 - height**2)
    places = np.stack([radius * np.cos(turn), radius * np.sin(turn), height])
    values = of_places(places.T, kernel, **form)
    expected = values.min() if function is polarization else values.max()
    found = as_float(function(kernel, starts=32, **form))
    assert found == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("which", [{}, {"half_space": True}, {"groups": 2}])
@pytest.mark.parametrize(("function", "options"), HOLES, ids=NAMES)
def test_gradients_at_the_holes(function, options, which):
    # At the hole that was found the gradient is that of the hole itself.
    kernel = kernel_of((3, 14))
    search = {"starts": 32, **options, **which}
    found = value_and_grad(
        lambda tensor: function(tensor, **search), kernel, mode=FASTEST
    )
    for _ in range(3):
        direction = RNG.normal(size=kernel.shape)
        direction /= np.linalg.norm(direction)
        moved = [
            as_float(
                function(
                    (kernel + shift * direction).astype("float32"), **search
                )
            )
            for shift in (3e-3, -3e-3)
        ]
        np.testing.assert_allclose(
            np.sum(found.gradient * direction),
            (moved[0] - moved[1]) / 6e-3,
            atol=0.03 * np.linalg.norm(found.gradient),
        )
    # Lengths do not matter.
    along = np.sum(found.gradient * kernel, axis=0)
    np.testing.assert_allclose(along, 0.0, atol=1e-5)


def test_half_space_with_few_neurons_has_nothing_to_polarize():
    kernel = kernel_of((8, 4))
    value = as_float(polarization(kernel, half_space=True))
    assert value == pytest.approx(0.5, rel=1e-6)
    value = as_float(covering(kernel, half_space=True))
    assert value == pytest.approx(2.0, rel=1e-6)

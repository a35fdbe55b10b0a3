"""Compressive energy: projections drawn and moved, and their mean."""

import numpy as np
import pytest

from keras_mhe.functional import compressive_energy, hyperspherical_energy
from keras_mhe.functional._projections import drawn_projections
from support.gradients import value_and_grad
from support.tensors import as_float


def kernel_of(shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


@pytest.mark.parametrize("half_space", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_compressive_energy_is_the_mean_over_projections(half_space, groups):
    kernel = kernel_of((5, 8, 6))
    form = {"half_space": half_space, "power": 1, "groups": groups}
    options = {"dim": 7, "num_projections": 3, "seed": 4, "draw": 2}
    projections = drawn_projections(4, 2, 3, 7, 40)
    matrix = kernel.reshape(40, 6)
    expected = np.mean(
        [as_float(hyperspherical_energy(p @ matrix, **form))
         for p in projections]
    )  # fmt: skip
    found = value_and_grad(
        lambda tensor: compressive_energy(tensor, **options, **form), kernel
    )
    assert found.value == pytest.approx(expected, rel=1e-5)
    by_matrix = np.mean(
        [
            p.T
            @ value_and_grad(
                lambda tensor: hyperspherical_energy(tensor, **form),
                p @ matrix,
            ).gradient
            for p in projections
        ],
        axis=0,
    )
    scale = np.abs(by_matrix).max()
    np.testing.assert_allclose(
        found.gradient.reshape(40, 6), by_matrix, atol=1e-4 * scale
    )


def test_projections_are_a_function_of_seed_and_draw():
    one = drawn_projections(1, 0, 2, 3, 50)
    assert one is drawn_projections(1, 0, 2, 3, 50)
    for other in (
        drawn_projections(2, 0, 2, 3, 50),
        drawn_projections(1, 1, 2, 3, 50),
    ):
        assert not np.allclose(one, other)
    assert one.std() == pytest.approx(1.0, abs=0.1)
    with pytest.raises(ValueError, match="read-only"):
        one[0, 0, 0] = 1.0


def test_moved_projections_do_what_they_are_for():
    kernel = kernel_of((60, 10))
    options = {"dim": 6, "num_projections": 2, "half_space": False}
    plain = as_float(compressive_energy(kernel, **options))
    energies = [
        as_float(
            compressive_energy(
                kernel, projection="adversarial", steps=n, rate=0.05, **options
            )
        )
        for n in (0, 2, 6)
    ]
    assert energies[0] == pytest.approx(plain, rel=1e-6)
    assert energies[0] < energies[1] < energies[2]
    # Cosines of six dimensions come nearer to those of sixty.
    full = as_float(hyperspherical_energy(kernel))
    preserving = [
        as_float(
            compressive_energy(
                kernel, projection="angle_preserving", steps=n, **options
            )
        )
        for n in (0, 5, 40)
    ]
    errors = np.abs(np.array(preserving) - full)
    assert errors[2] < errors[1] < errors[0]


def test_neurons_that_are_short_enough_are_not_projected():
    kernel = kernel_of((5, 6))
    assert as_float(compressive_energy(kernel, dim=5)) == pytest.approx(
        as_float(hyperspherical_energy(kernel, half_space=True)), rel=1e-6
    )


@pytest.mark.parametrize("kind", ["adversarial", "angle_preserving"])
@pytest.mark.parametrize("half_space", [False, True])
def test_equal_neurons_leave_projections_finite(kind, half_space):
    kernel = np.ones((576, 8), "float32")
    options = {"num_projections": 2, "half_space": half_space}
    plain = as_float(compressive_energy(kernel, **options))
    moved = as_float(compressive_energy(kernel, projection=kind, **options))
    assert moved == pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize("kind", ["adversarial", "angle_preserving"])
def test_groups_do_not_see_each_other(kind):
    # The second group is that of another kernel: the first does not move.
    options = {
        "projection": kind, "dim": 3, "num_projections": 1, "steps": 1,
        "rate": 1e-6,
    }  # fmt: skip
    kernel = kernel_of((9, 8))
    both = as_float(compressive_energy(kernel, groups=2, **options))
    halves = [
        as_float(compressive_energy(part, **options))
        for part in np.split(kernel, 2, axis=1)
    ]
    assert both == pytest.approx(np.mean(halves), rel=1e-3)

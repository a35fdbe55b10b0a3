"""Compressive energy: projections drawn and moved, and their mean."""

import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import compressive_energy, hyperspherical_energy
from keras_mhe.functional._form import EnergyForm
from keras_mhe.functional._projections import (
    drawn_projections,
    improved_projections,
)
from support import numpy_reference
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


def test_tiles_of_projections_give_the_same():
    kernel = kernel_of((40, 30))
    values = [
        value_and_grad(
            lambda tensor, size=size: compressive_energy(
                tensor, dim=7, num_projections=2, block_size=size
            ),
            kernel,
        )
        for size in ("auto", 8)
    ]
    assert values[0].value == pytest.approx(values[1].value, rel=1e-5)
    scale = np.abs(values[0].gradient).max()
    np.testing.assert_allclose(
        values[0].gradient, values[1].gradient, atol=1e-4 * scale
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


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", ["adversarial", "angle_preserving"])
@pytest.mark.parametrize("half_space", [False, True])
def test_projections_move_along_their_gradient(kind, groups, half_space):
    kernel = kernel_of((6, 8))
    units = kernel / np.linalg.norm(kernel, axis=0)
    (start,) = drawn_projections(0, 0, 1, 3, 6)
    form = {"half_space": half_space, "groups": groups}
    size = 8 // groups
    in_group = np.kron(np.eye(groups), np.ones((size, size)))

    def becomes_small(projection):
        columns = projection @ units.astype("float64")
        if kind == "adversarial":
            return -numpy_reference.energy(columns, **form)
        columns /= np.linalg.norm(columns, axis=0)
        change = columns.T @ columns - units.T @ units
        return np.sum(in_group * change**2)

    rate = 1e-3
    moved = improved_projections(
        ops.convert_to_tensor(start[None]),
        ops.convert_to_tensor(units),
        kind,
        EnergyForm(**form),
        steps=1,
        rate=rate,
    )
    step = (ops.convert_to_numpy(moved)[0] - start) / rate
    assert np.linalg.norm(step) == pytest.approx(
        np.linalg.norm(start), rel=1e-2
    )
    gradient = np.zeros_like(start, "float64")
    for index in np.ndindex(start.shape):
        ends = []
        for shift in (1e-5, -1e-5):
            other = start.astype("float64")
            other[index] += shift
            ends.append(becomes_small(other))
        gradient[index] = (ends[0] - ends[1]) / 2e-5
    downhill = -gradient / np.linalg.norm(gradient)
    np.testing.assert_allclose(step / np.linalg.norm(step), downhill, atol=2e-3)

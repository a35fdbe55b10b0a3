"""Compressive energy: projections drawn and moved, and their mean."""

import numpy as np
import pytest
from keras import ops

from keras_mhe.ops import compressive_energy
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._relatives.projections import (
    drawn_projections,
    improved_projections,
)
from support import numpy_reference
from support.energies import evaluate
from support.gradients import FASTEST, value_and_grad
from support.tensors import as_array, assert_near, random_array


def compressed(kernel, **options):
    """The value and gradient; compiled, since eager JAX compiles each step."""
    return value_and_grad(
        lambda tensor: compressive_energy(tensor, **options),
        kernel,
        mode=FASTEST,
    )


@pytest.mark.parametrize("half_space", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_compressive_energy_is_the_mean_over_projections(half_space, groups):
    kernel = random_array(5, 8, 6, seed=1)
    form = {"half_space": half_space, "power": 1, "groups": groups}
    found = compressed(kernel, dim=7, num_projections=3, seed=4, draw=2, **form)
    projections = drawn_projections(4, 2, 3, 7, 40)
    parts = [evaluate(p @ kernel.reshape(40, 6), **form) for p in projections]
    expected = np.mean([part.value for part in parts])
    assert found.value == pytest.approx(expected, rel=1e-5)
    by_matrix = np.mean(
        [
            p.T @ part.gradient
            for p, part in zip(projections, parts, strict=True)
        ],
        axis=0,
    )
    assert_near(found.gradient.reshape(40, 6), by_matrix, 1e-4)


def test_tiles_of_projections_give_the_same():
    kernel = random_array(40, 30)
    table, tiles = (
        compressed(kernel, dim=7, num_projections=2, block_size=size)
        for size in ("auto", 8)
    )
    assert table.value == pytest.approx(tiles.value, rel=1e-5)
    assert_near(tiles.gradient, table.gradient, 1e-4)


def test_projections_are_a_function_of_seed_and_draw():
    one = drawn_projections(1, 0, 2, 3, 50)
    assert one is drawn_projections(1, 0, 2, 3, 50)
    for seed, draw in ((2, 0), (1, 1)):
        assert not np.allclose(one, drawn_projections(seed, draw, 2, 3, 50))
    assert one.std() == pytest.approx(1.0, abs=0.1)
    with pytest.raises(ValueError, match="read-only"):
        one[0, 0, 0] = 1.0


def test_moved_projections_do_what_they_are_for():
    kernel = random_array(60, 10, seed=1)
    options = {"dim": 6, "num_projections": 2, "half_space": False}
    plain = compressed(kernel, **options).value
    energies = [
        compressed(
            kernel, projection="adversarial", steps=n, rate=0.05, **options
        ).value
        for n in (0, 2, 6)
    ]
    assert energies[0] == pytest.approx(plain, rel=1e-6)
    assert energies[0] < energies[1] < energies[2]
    # Cosines of six dimensions come nearer to those of sixty.
    full = evaluate(kernel).value
    errors = [
        abs(
            compressed(
                kernel, projection="angle_preserving", steps=n, **options
            ).value
            - full
        )
        for n in (0, 5, 40)
    ]
    assert errors[2] < errors[1] < errors[0]


@pytest.mark.parametrize("kind", ["adversarial", "angle_preserving"])
@pytest.mark.parametrize("half_space", [False, True])
def test_equal_neurons_leave_projections_finite(kind, half_space):
    kernel = np.ones((576, 8), "float32")
    options = {"num_projections": 2, "half_space": half_space}
    plain = compressed(kernel, **options).value
    moved = compressed(kernel, projection=kind, **options).value
    assert moved == pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", ["adversarial", "angle_preserving"])
@pytest.mark.parametrize("half_space", [False, True])
def test_projections_move_along_their_gradient(kind, groups, half_space):
    kernel = random_array(6, 8, seed=1)
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
    step = (as_array(moved)[0] - start) / rate
    length = np.linalg.norm(step)
    assert length == pytest.approx(np.linalg.norm(start), rel=1e-2)
    gradient = numpy_reference.differences(becomes_small, start, 1e-5)
    downhill = -gradient / np.linalg.norm(gradient)
    np.testing.assert_allclose(step / length, downhill, atol=2e-3)

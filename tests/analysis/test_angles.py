"""Angles of random directions and of known optima."""

import numpy as np
import pytest

from keras_mhe.analysis import optimal_angles, random_angle_density

pytestmark = pytest.mark.once


@pytest.mark.parametrize("dim", [2, 3, 9, 600])
@pytest.mark.parametrize("half_space", [False, True])
def test_density_integrates_to_one(dim, half_space):
    degrees = np.linspace(0.0, 90.0 if half_space else 180.0, 100_001)
    density = random_angle_density(degrees, dim, half_space=half_space)
    assert np.trapezoid(density, degrees) == pytest.approx(1.0, abs=1e-6)


def test_density_at_the_right_angle():
    # G(d/2) / (G((d-1)/2) sqrt(pi)) by 40 digits of mpmath.
    per_radian = {
        2: 0.3183098861837907,
        999: 12.599883954956997,
        1000: 12.606198102580354,
        100_352: 126.37752219814048,
        10**7: 1261.5661663926078,
    }
    for dim, expected in per_radian.items():
        density = np.degrees(random_angle_density(np.array([90.0]), dim))
        assert density == pytest.approx(expected, rel=1e-12)


def test_density_of_the_circle_is_uniform():
    ends = random_angle_density(np.array([0.0, 45.0, 180.0]), 2)
    np.testing.assert_allclose(ends, 1 / 180, rtol=1e-14)


@pytest.mark.parametrize("half_space", [False, True])
def test_density_is_that_of_drawn_directions(half_space):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 40_000, 5))
    cosines = np.sum(first * second, axis=1) / np.linalg.norm(
        first, axis=1
    ) / np.linalg.norm(second, axis=1)  # fmt: skip
    drawn = np.degrees(np.arccos(np.abs(cosines) if half_space else cosines))
    top = 90.0 if half_space else 180.0
    shares, edges = np.histogram(drawn, 18, (0.0, top), density=True)
    middles = (edges[:-1] + edges[1:]) / 2
    density = random_angle_density(middles, 5, half_space=half_space)
    np.testing.assert_allclose(shares, density, atol=5e-4)


@pytest.mark.parametrize(
    ("num_neurons", "dim", "half_space", "expected"),
    [
        (3, 2, False, (120.0,)),
        (5, 4, False, (104.477512,)),
        (6, 3, False, (90.0, 180.0)),
        (7, 3, False, ()),
        (3, 3, True, (90.0,)),
        (6, 3, True, (63.434949,)),  # The diagonals of the icosahedron.
    ],
)
def test_optimal_angles(num_neurons, dim, half_space, expected):
    found = optimal_angles(num_neurons, dim, half_space=half_space)
    assert found == pytest.approx(expected)


def test_outside_of_the_range():
    degrees = np.array([-1.0, 181.0])
    assert not random_angle_density(degrees, 5).any()
    assert random_angle_density(np.array([91.0]), 5, half_space=True) == 0.0


def test_angles_in_full_space_have_no_known_optimum():
    assert optimal_angles(4, 3, distance="angular") == ()
    assert optimal_angles(2, 3, distance="angular") == pytest.approx((180.0,))
    found = optimal_angles(3, 3, distance="angular", half_space=True)
    assert found == pytest.approx((90.0,))


def test_wrong_dimension():
    with pytest.raises(ValueError, match="`dim` must be"):
        random_angle_density(np.array([90.0]), 1)

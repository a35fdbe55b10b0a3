"""Angles to compare with: of random directions, and of the optimum."""

import math

import numpy as np

from keras_mhe.ops._levels.bounds import (
    bound_of,
    check_size,
    optimal_cosine,
)
from keras_mhe.ops._pairs.form import EnergyForm


def random_angle_density(
    degrees: np.ndarray, dim: int, *, half_space: bool = False
) -> np.ndarray:
    """Density of the angle between two random directions.

    Args:
        degrees: Array of angles in degrees, from 0 to 180, in half space to
            90.
        dim: Int >= 2, dimension of the vectors.
        half_space: Bool. Whether it is the angle between lines. Defaults to
            `False`.

    Returns:
        Float64 array of the shape of `degrees`, per degree; its integral is
        1, and it is 0 outside the range.

    Raises:
        ValueError: If `dim` is outside its range.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.analysis import random_angle_density
        >>> random_angle_density(np.array([90.0]), 3).round(5)
        array([0.00873])
    """
    check_size(2, dim)
    degrees = np.asarray(degrees, "float64")
    power_of_sine = np.sin(np.radians(degrees)) ** (dim - 2)
    density = math.radians(_density_at_90(dim)) * power_of_sine
    # The opposite of an angle is another angle between the same lines.
    largest, factor = (90.0, 2.0) if half_space else (180.0, 1.0)
    is_inside = (degrees >= 0.0) & (degrees <= largest)
    return np.where(is_inside, factor * density, 0.0)


def _density_at_90(dim: int) -> float:
    """Returns `G(a + 1/2) / (G(a) sqrt(pi))`, `a = (dim - 1) / 2`, per radian.

    G is the Gamma function, whose logarithms lose digits for large `dim`.
    """
    a = (dim - 1) / 2.0
    if dim < 1000:
        log_ratio = math.lgamma(a + 0.5) - math.lgamma(a)
    else:
        log_ratio = 0.5 * math.log(a) - 1.0 / (8.0 * a) + 1.0 / (192.0 * a**3)
    return math.exp(log_ratio) / math.sqrt(math.pi)


def optimal_angles(
    num_neurons: int,
    dim: int,
    *,
    distance: str = "euclidean",
    half_space: bool = False,
) -> tuple[float, ...]:
    """Angles that all pairs have in the arrangement of least energy.

    Args:
        num_neurons: Int >= 2.
        dim: Int >= 2, dimension of the vectors.
        distance: `"euclidean"` or `"angular"`, of the energy. Defaults to
            `"euclidean"`.
        half_space: Bool. Whether they are angles between lines. Defaults to
            `False`.

    Returns:
        Degrees: one for the simplex (up to `dim + 1` neurons), and in half
        space for orthogonal (up to `dim`) or equiangular neurons, which need
        not exist; two for the cross-polytope (`2 dim` neurons); none where
        the angles of the optimum are not known, as with angles in full space
        for more than two neurons.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> from keras_mhe.analysis import optimal_angles
        >>> [round(angle, 6) for angle in optimal_angles(3, 2)]
        [120.0]
        >>> optimal_angles(6, 3), optimal_angles(5, 3)
        ((90.0, 180.0), ())
    """
    form = EnergyForm(distance=distance, half_space=half_space)
    if bound_of(form, num_neurons, dim) is None:
        return ()
    cosine = optimal_cosine(num_neurons, dim, half_space=half_space)
    if not half_space and num_neurons > dim + 1:
        return (90.0, 180.0) if num_neurons == 2 * dim else ()
    return (math.degrees(math.acos(cosine)),)

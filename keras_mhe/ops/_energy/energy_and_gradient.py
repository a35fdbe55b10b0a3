"""The energy with its gradient, for optimizers that are not of Keras."""

import keras
from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_groups
from keras_mhe.ops._energy.means import tile_of_all
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.neurons import (
    Directions,
    float_tensor,
    kernel_of_columns,
    neuron_columns,
)
from keras_mhe.ops._pairs.sums import sum_over_pairs


def energy_and_gradient(
    weights: Tensor,
    *,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
    block_size: int | str = "auto",
) -> tuple[Tensor, Tensor]:
    """The energy of all pairs, and its gradient, without differentiation.

    One code for optimizers that want both, such as SciPy's, on every backend.

    Args:
        weights: As in `hyperspherical_energy`, a float tensor or array of
            rank 2 or more.
        power: As in `hyperspherical_energy`. Defaults to `2`.
        distance: As in `hyperspherical_energy`. Defaults to `"euclidean"`.
        half_space: As in `hyperspherical_energy`. Defaults to `False`.
        neuron_axis: As in `hyperspherical_energy`. Defaults to `-1`.
        groups: As in `hyperspherical_energy`. Defaults to `1`.
        block_size: As in `hyperspherical_energy`. Defaults to `"auto"`.

    Returns:
        The value of `hyperspherical_energy`, a float32 scalar (float64 for
        float64 weights), and its gradient by the weights, of their shape and
        dtype, float32 for integers. Constants for a gradient that is taken
        further.

    Raises:
        ValueError: If an argument is outside its range, or the kernel does
            not have the axes or groups.

    Numerics:
        As `hyperspherical_energy`: the gradient is finite for every input.

    Example:
        >>> import numpy as np
        >>> from scipy.optimize import minimize
        >>> from keras_mhe.ops import energy_and_gradient
        >>> def of_vector(x):
        ...     kernel = x.reshape(3, 4).astype("float32")
        ...     energy, gradient = energy_and_gradient(kernel, power=1)
        ...     return float(energy), np.array(gradient, "float64").ravel()
        >>> start = np.random.default_rng(0).normal(size=12)
        >>> found = minimize(of_vector, start, jac=True, method="L-BFGS-B")
        >>> round(6 * found.fun, 4)  # Six pairs: Thomson's problem.
        3.6742
    """
    form = EnergyForm(
        power, distance, half_space, neuron_axis, groups, block_size
    )
    weights = ops.stop_gradient(float_tensor(weights))
    columns = neuron_columns(weights, form.neuron_axis)
    stored_dtype = keras.backend.standardize_dtype(columns.dtype)
    check_groups(form.groups, columns.shape[1])
    energy, slopes, living = _backend.as_one_program(
        energy_and_slopes, columns, form
    )
    directions = Directions.of(
        ops.cast(columns, _numerics.computation_dtype(columns)), 0.0
    )
    # A pair is in the mean energies of two neurons.
    gradient = _backend.multiply_and_cut(
        slopes * (2.0 / _backend.at_least(ops.sum(living), 1.0)),
        directions.inverse_norms,
        _numerics.largest_gradient(stored_dtype),
    )
    gradient = ops.cast(gradient, stored_dtype)
    return energy, kernel_of_columns(gradient, weights.shape, form.neuron_axis)


def energy_and_slopes(
    columns: Tensor, form: EnergyForm, *, is_rise: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """The scale-free energy of columns, and its slopes by their directions.

    Args:
        columns: Float tensor, shape `(dim, N)`, a column for each neuron.
        form: The energy.
        is_rise: Whether to return, in place of the energy, what it is above
            that of orthogonal pairs, `f(0)`: with all digits where that is
            little, as in wide layers. Defaults to `False`.

    Returns:
        The energy; for each column the gradient, tangent to its sphere, of
        the mean energy `e_i` of its own pairs by its direction `u_i`, shape
        `(dim, N)`; and how many neurons of each group count, shape
        `(groups,)`. All float32 (float64 for float64 columns).
    """
    columns = ops.cast(columns, _numerics.computation_dtype(columns))
    directions = Directions.of(columns, 0.0)
    total, gradient, count = sum_over_pairs(
        directions,
        form.rise if is_rise else form.potential,
        form,
        tile_of_all(columns, form),
    )
    living = ops.sum(ops.reshape(directions.counts, (form.groups, -1)), axis=-1)
    # Each pair is in the mean energies of two neurons.
    slopes = gradient * (0.5 * ops.sum(living) / count)
    return total / count, slopes, living

"""Three ways to spread points, all by the energy of the library.

Each takes a problem and starts, shape `(dim, starts * num_points)`, and
returns points of that shape. All starts are spread at once, as groups.
"""

from collections.abc import Callable

import keras
import numpy as np
from scipy import optimize

from keras_mhe import MHE
from keras_mhe.constraints import EnergyDescent
from keras_mhe.functional import energy_and_gradient
from spheres.problem import Problem

Way = Callable[[Problem, np.ndarray, int], np.ndarray]

#: Steps of the constraint after each step of the optimizer.
_DESCENTS = 10


def by_constraint(
    problem: Problem, starts: np.ndarray, steps: int
) -> np.ndarray:
    """A layer whose optimizer does nothing: `EnergyDescent` does it all."""
    descents = min(_DESCENTS, steps)
    descent = EnergyDescent(
        descents,
        # It is cut where it is too long.
        rate=10.0,
        groups=starts.shape[1] // problem.num_points,
        **problem.form,
    )
    return _fitted_kernel(
        starts,
        keras.optimizers.SGD(0.0),
        steps // descents,
        kernel_constraint=descent,
    )


def by_regularizer(
    problem: Problem, starts: np.ndarray, steps: int
) -> np.ndarray:
    """A layer with no loss but `MHE`, trained by Adam with a falling rate."""
    groups = starts.shape[1] // problem.num_points
    rate = keras.optimizers.schedules.CosineDecay(0.05, steps)
    return _fitted_kernel(
        starts,
        keras.optimizers.Adam(rate),
        steps,
        # One for the mean energy of each start.
        kernel_regularizer=MHE(float(groups), groups=groups, **problem.form),
    )


def by_lbfgs(problem: Problem, starts: np.ndarray, steps: int) -> np.ndarray:
    """SciPy's L-BFGS, start by start, with the library's gradient."""
    spread = []
    for start in np.split(starts, starts.shape[1] // problem.num_points, 1):
        shape = start.shape

        def of_vector(
            vector: np.ndarray, shape: tuple[int, ...] = shape
        ) -> tuple[float, np.ndarray]:
            energy, gradient = energy_and_gradient(
                vector.reshape(shape).astype("float32"), **problem.form
            )
            gradient = keras.ops.convert_to_numpy(gradient)
            return float(energy), gradient.astype("float64").ravel()

        found = optimize.minimize(
            of_vector,
            start.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": steps, "ftol": 1e-12, "gtol": 1e-8},
        )
        spread.append(found.x.reshape(shape))
    return np.concatenate(spread, axis=1).astype("float32")


WAYS: dict[str, Way] = {
    "constraint": by_constraint,
    "regularizer": by_regularizer,
    "lbfgs": by_lbfgs,
}


def _fitted_kernel(
    kernel: np.ndarray,
    optimizer: keras.optimizers.Optimizer,
    steps: int,
    **arguments: object,
) -> np.ndarray:
    """The kernel of a layer after training on nothing."""
    dim, columns = kernel.shape
    layer = keras.layers.Dense(columns, use_bias=False, **arguments)
    model = keras.Sequential([keras.Input((dim,)), layer])
    layer.set_weights([kernel])
    model.compile(optimizer, "mse")
    # Inputs of zeros: the loss is that of the regularizer.
    nothing = np.zeros((steps, 1), "float32")
    model.fit(
        np.broadcast_to(nothing, (steps, dim)),
        np.broadcast_to(nothing, (steps, columns)),
        batch_size=1,
        shuffle=False,
        verbose=0,
    )
    return layer.get_weights()[0]

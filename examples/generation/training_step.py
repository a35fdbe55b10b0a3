"""A training step that is written once and runs in `fit` of every backend.

The only file of the training that imports a framework.
"""

from collections.abc import Callable
from typing import Any

import keras

_BACKEND = keras.backend.backend()


class StepModel(keras.Model):
    """A model that trains by its method `step`.

    `step(data)` computes losses, calls `gradients` and `apply` of this file as
    often as it likes, and returns the logs. On JAX, whose trainer wants a
    function from state to state, everything that `step` assigns is collected.
    """

    def step(self, data: Any) -> dict[str, Any]:
        """Trains on a batch; returns the logs."""
        raise NotImplementedError

    if _BACKEND == "jax":

        def train_step(self, state: Any, data: Any) -> tuple[Any, Any]:
            """Returns the logs and the new state."""
            groups = (
                self.trainable_variables,
                self.non_trainable_variables,
                self.optimizer.variables,
                self.metrics_variables,
            )
            mapping = [
                pair
                for variables, values in zip(groups, state, strict=True)
                for pair in zip(variables, values, strict=True)
            ]
            with keras.StatelessScope(mapping) as scope:
                logs = self.step(data)
            return logs, tuple(
                [scope.get_current_value(variable) for variable in variables]
                for variables in groups
            )
    else:

        def train_step(self, data: Any) -> dict[str, Any]:
            """Returns the logs."""
            return self.step(data)


def gradients(
    loss_of: Callable[[], Any],
    variables: list[keras.Variable],
    model: keras.Model,
) -> tuple[Any, list[Any]]:
    """Evaluates a loss and its gradient by some variables of a model.

    Args:
        loss_of: Computes the loss; may assign non-trainable variables of the
            model.
        variables: Trainable variables.
        model: The model that all of them belong to.

    Returns:
        The loss and the list of gradients.
    """
    return _GRADIENTS[_BACKEND](loss_of, variables, model)


def apply(
    optimizer: keras.optimizers.Optimizer,
    grads: list[Any],
    variables: list[keras.Variable],
) -> None:
    """Lets an optimizer move variables by their gradients."""
    if _BACKEND == "torch":
        import torch

        with torch.no_grad():
            optimizer.apply(grads, variables)
    else:
        optimizer.apply(grads, variables)


def _tensorflow(loss_of: Any, variables: Any, model: Any) -> Any:
    import tensorflow as tf

    del model  # Assignments take place at once.
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([variable.value for variable in variables])
        loss = loss_of()
    return loss, tape.gradient(loss, [v.value for v in variables])


def _torch(loss_of: Any, variables: Any, model: Any) -> Any:
    import torch

    del model
    loss = loss_of()
    values = [variable.value for variable in variables]
    return loss.detach(), list(torch.autograd.grad(loss, values))


def _jax(loss_of: Any, variables: Any, model: Any) -> Any:
    import jax

    assignable = model.non_trainable_variables
    outer = [(variable, variable.value) for variable in model.variables]

    def pure(values: list[Any]) -> tuple[Any, list[Any]]:
        mapping = [*outer, *zip(variables, values, strict=True)]
        with keras.StatelessScope(mapping) as scope:
            loss = loss_of()
        return loss, [scope.get_current_value(v) for v in assignable]

    values = [variable.value for variable in variables]
    (loss, assigned), grads = jax.value_and_grad(pure, has_aux=True)(values)
    for variable, value in zip(assignable, assigned, strict=True):
        variable.assign(value)
    return loss, grads


_GRADIENTS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}

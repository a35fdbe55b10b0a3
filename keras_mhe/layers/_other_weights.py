"""A layer with other values of its weights: a call, and a copy."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_mhe._typing import KerasObject, Tensor


def called_with(
    layer: KerasObject,
    values: dict[int, Tensor],
    inputs: Any,
    *args: Any,
    **kwargs: Any,
) -> tuple[Any, list[Tensor], list[tuple[KerasObject, Tensor]]]:
    """Calls a layer, and changes nothing.

    Args:
        layer: The built layer.
        values: Maps `id(variable)` to what takes the variable's place.
        inputs: Of the call.
        args: Of the call.
        kwargs: Of the call.

    Returns:
        Outputs, the layer's losses, and the pairs of a variable and the value
        that the call wants to give it.

    Raises:
        ValueError: If the call changes a variable that is not the layer's.
    """
    variables = layer.variables
    # All of them, since the scope hides those of the scopes around it.
    with keras.StatelessScope(
        [(v, values.get(id(v), v.value)) for v in variables],
        collect_losses=True,
    ) as scope:
        given = dict(scope.state_mapping)
        outputs = layer(inputs, *args, **kwargs)
    if set(scope.state_mapping) != set(given):
        raise ValueError(
            f"The {type(layer).__name__} layer changed a variable "
            "that is not its own. Give it a `keras.random.SeedGenerator` "
            "instead of Keras' global seed."
        )
    changes = []
    # A loop, because torch.compile does not follow a comprehension.
    for variable in variables:
        value = scope.get_current_value(variable)
        if value is not given[id(variable)]:
            changes.append((variable, value))
    return outputs, scope.losses, changes


def leave_out_of_remat(layer: KerasObject) -> None:
    """Leaves a layer alone in `keras.RematScope`.

    What the scope computes again there it would with the layer's own weights.
    """
    for inner in layer._flatten_layers():
        inner.rematerialized_call = _as_it_is


def _as_it_is(
    layer_call: Callable[..., Any], *args: Any, **kwargs: Any
) -> Callable[..., Any]:
    return layer_call


def plain_copy(layer: KerasObject, values: dict[int, Tensor]) -> KerasObject:
    """Returns a new layer of the same class and name.

    Without regularizers and constraints of weights.

    Args:
        layer: The built layer.
        values: Maps `id(variable)` to the value of the new layer's variable;
            others are copied.
    """
    config = layer.get_config()
    for name in config:
        is_of_weight = name != "activity_regularizer"
        if is_of_weight and name.endswith(("_regularizer", "_constraint")):
            config[name] = None
    copied = type(layer).from_config(config)
    copied.build_from_config(layer.get_build_config())
    for new, old in zip(copied.weights, layer.weights, strict=True):
        # A copy, since JAX' trainer deletes arrays that it has replaced.
        new.assign(values.get(id(old), ops.copy(old.value)))
    return copied

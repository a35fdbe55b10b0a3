"""Weights that layers compute with, other than a variable: LoRA and int8.

`enable_lora` freezes the kernel `W` of a layer and gives it two small weights,
the factors `A` and `B`; the layer computes with `W + scale * A B`. `quantize`
makes `W` integers, with a number of steps for each output.
"""

from operator import attrgetter

from keras import backend, layers, ops

from keras_mhe._numerics import computation_dtype
from keras_mhe._typing import KerasObject, Tensor

#: How Keras names factors: `lora_kernel_a` and `lora_kernel_b`, or
#: `lora_embeddings_a` and `lora_embeddings_b`.
_FACTOR = "lora_"

#: Ways to quantize that keep the layout of the weight.
_KNOWN_MODES = (None, "int8", "float8")


def is_factor(variable: KerasObject) -> bool:
    """Whether a Keras variable is a factor of LoRA."""
    return str(variable.name).startswith(_FACTOR)


def factors(layer: KerasObject) -> list[KerasObject]:
    """Returns the factors `A` and `B` of a layer; none without LoRA."""
    if not getattr(layer, "lora_enabled", False):
        return []
    return [variable for variable in layer.weights if is_factor(variable)]


def trained_weights(layer: KerasObject) -> list[KerasObject]:
    """Returns the weights of a layer with LoRA that its kernel trains by.

    The factors; before them the frozen weight, if something made it trainable
    again. None without LoRA.
    """
    parts = factors(layer)
    if parts:
        parts.insert(0, stored_weight(layer, adapted_path(layer)))
    return [part for part in parts if getattr(part, "trainable", False)]


def is_adapted(layer: KerasObject, path: str) -> bool:
    """Whether LoRA changes this weight of a layer."""
    return bool(factors(layer)) and adapted_path(layer) == path


def adapted_path(layer: KerasObject) -> str:
    """Returns the name of the weight that LoRA adapts in a layer."""
    name: str = factors(layer)[0].name
    return name.removeprefix(_FACTOR).removesuffix("_a")


def has_known_weight(layer: KerasObject) -> bool:
    """Whether the weight is not packed in a way that only Keras knows."""
    return layer.quantization_mode in _KNOWN_MODES


def stored_weight(layer: KerasObject, path: str) -> KerasObject:
    """Returns the variable of a weight; with LoRA the one that is frozen.

    Args:
        layer: A Keras layer.
        path: Attribute of the layer, or of its cell as `"cell.kernel"`.
    """
    if is_adapted(layer, path) and has_known_weight(layer):
        return next(weight for weight in layer.weights if weight.name == path)
    return attrgetter(path)(layer)


def computed_weight(layer: KerasObject, path: str) -> Tensor:
    """Returns a weight as the layer computes with it, which must be known.

    With LoRA and of int8, float32 (float64 for a float64 `W`), whatever the
    layer computes in, so that small gradients of `A` and `B` do not vanish in
    half precision.

    Args:
        layer: A Keras layer.
        path: As for `stored_weight`.
    """
    weight = stored_weight(layer, path)
    dtype = computation_dtype(weight)
    if backend.standardize_dtype(weight.dtype) == "int8":
        weight = ops.cast(weight, dtype) / ops.cast(_steps(layer, path), dtype)
    if is_adapted(layer, path):
        scale = layer.lora_alpha / layer.lora_rank
        change = scale * ops.matmul(*factors(layer))
        weight = ops.cast(weight, dtype) + ops.cast(change, dtype)
    return weight


def _steps(layer: KerasObject, path: str) -> Tensor:
    """Numbers of int8 steps in 1, in the layout of the weight."""
    steps = getattr(layer, f"{path}_scale")
    if path == "embeddings":
        return ops.expand_dims(steps, -1)
    if not isinstance(layer, layers.EinsumDense):
        return ops.convert_to_tensor(steps)
    # One for each output, in the order of the outputs.
    operands, outputs = layer.equation.replace(" ", "").split("->")
    kernel = operands.split(",")[1]
    sizes = dict(zip(kernel, stored_weight(layer, path).shape, strict=True))
    made = [letter for letter in outputs if letter in kernel]
    steps = ops.reshape(steps, [sizes[letter] for letter in made])
    ordered = sorted(made, key=kernel.index)
    steps = ops.transpose(steps, [made.index(letter) for letter in ordered])
    return ops.reshape(
        steps, [sizes[letter] if letter in made else 1 for letter in kernel]
    )

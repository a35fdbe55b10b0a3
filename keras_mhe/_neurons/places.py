"""Where a model has kernels, and what else of it has weights."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from math import prod

import keras

from keras_mhe._neurons.computed import (
    has_known_weight,
    is_adapted,
    stored_weight,
)
from keras_mhe._neurons.kernel import NeuronKernel
from keras_mhe._neurons.registry import KernelAxes, is_known, kernel_axes
from keras_mhe._neurons.walk import has_matrices, named_layers, own_weights
from keras_mhe._typing import KerasObject
from keras_mhe._validation import axes_of_rank, check_groups

_NOT_BUILT = "not built yet: build it first"


@dataclass(frozen=True)
class Place:
    """A kernel, or a layer with weights that are none.

    Attributes:
        name: As `NeuronKernel.name`.
        layer: The layer.
        axes: Where the layer keeps its kernel; `None` if it has none.
        kernel: The kernel; `None` if there is none or it is not built yet.
        reason: Why no regularizer can be put there; empty if one can.
    """

    name: str
    layer: KerasObject
    axes: KernelAxes | None = None
    kernel: NeuronKernel | None = None
    reason: str = ""

    @property
    def num_neurons(self) -> int:
        """Neurons that meet each other; 0 if that is not known yet."""
        if self.kernel is not None:
            return self.kernel.num_neurons
        count: int = getattr(self.layer, "input_dim", 0)  # Of an embedding.
        return count

    @property
    def key(self) -> Hashable:
        """Of the variable, or of a weight that is not built."""
        if self.kernel is not None:
            return id(self.kernel.variable)
        return id(self.layer), None if self.axes is None else self.axes.path

    @property
    def has_lora(self) -> bool:
        """Whether LoRA changes the kernel."""
        return self.axes is not None and is_adapted(self.layer, self.axes.path)


def places(model: KerasObject) -> Iterator[Place]:
    """Yields the kernels of a model and its other layers with weights."""
    seen: dict[Hashable, str] = {}
    for name, layer in [(model.name, model), *named_layers(model)]:
        for place in places_of(name, layer):
            if place.key in seen:
                reason = f"shared: see {seen[place.key]}"
                yield replace(place, reason=reason)
            else:
                seen[place.key] = place.name
                yield place


def places_of(name: str, layer: KerasObject) -> Iterator[Place]:
    """Yields the kernels of a layer; itself if its weights are none."""
    if not is_known(layer):
        reason = _why_no_kernel(layer)
        if reason:
            yield Place(name, layer, reason=reason)
        return
    try:
        found = kernel_axes(layer)
    except (AttributeError, ValueError) as error:
        # Some functions of a layer need its weights.
        if layer.built or isinstance(error, ValueError):
            raise _misfit("", layer, error) from error
        yield Place(name, layer, reason=_NOT_BUILT)
        return
    if not found:
        yield Place(name, layer, reason="no kernel")
        return
    if layer.built and not has_known_weight(layer):
        reason = f"quantized ({layer.quantization_mode})"
        yield Place(name, layer, found[0], reason=reason)
        return
    for axes in found:
        weight = axes.path.removeprefix("cell.")
        own_name = name if len(found) == 1 else f"{name}/{weight}"
        if not layer.built:
            reason = "" if axes.regularizer_path else _NOT_BUILT
            yield Place(own_name, layer, axes, reason=reason)
            continue
        kernel = _kernel(own_name, layer, axes)
        if kernel is not None:
            reason = _why_not(kernel)
            yield Place(own_name, layer, axes, kernel, reason)


def _kernel(
    name: str, layer: KerasObject, axes: KernelAxes
) -> NeuronKernel | None:
    """A kernel of a built layer, if it has this one."""
    try:
        variable = stored_weight(layer, axes.path)
        if variable is None:
            return None
        shape = tuple(variable.shape)
        positions = axes_of_rank(axes.neuron_axis, shape)
        num_neurons = prod(shape[position] for position in positions)
        check_groups(axes.groups, num_neurons)
        axes.regularizer(layer)
    except (AttributeError, ValueError) as error:
        raise _misfit(f" of {axes.path!r}", layer, error) from error
    return NeuronKernel(
        name, variable, axes.neuron_axis, axes.groups, layer, axes.path
    )


def _misfit(weight: str, layer: KerasObject, error: Exception) -> ValueError:
    return ValueError(
        f"What `register_neurons` was told{weight} must fit the "
        f"{type(layer).__name__} layer {layer.name!r}. Received: {error}"
    )


def _why_not(kernel: NeuronKernel) -> str:
    layer = kernel.layer
    if layer.quantization_mode == "int8" and not is_adapted(layer, kernel.path):
        return "quantized (int8)"
    if not isinstance(kernel.variable, keras.Variable):
        return "computed from other weights"
    if kernel.num_neurons < 2:
        return "one neuron" if kernel.groups == 1 else "one neuron in a group"
    return "neurons of one entry" if kernel.dim < 2 else ""


def _why_no_kernel(layer: KerasObject) -> str:
    """For a kind of layer that is not known; empty if it has no weights."""
    has_own_build = type(layer).build is not keras.Layer.build
    if not layer.built and has_own_build and not _holds_known(layer):
        return _NOT_BUILT
    if has_matrices(layer):
        kind = type(layer).__name__
        return f"neurons of {kind} are not known: see `register_neurons`"
    return "no kernel" if own_weights(layer) else ""


def _holds_known(layer: KerasObject) -> bool:
    return any(is_known(inner) for _, inner in named_layers(layer))

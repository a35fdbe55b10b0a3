"""Every place in a model where a kernel is, or where one could be missed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter

import keras

from keras_mhe._computed_weights import factors, has_known_weight
from keras_mhe._kernel_axes import KernelAxes
from keras_mhe._neurons.kernels import NeuronKernel, axes_of, kernels_of_layer
from keras_mhe._neurons.walk import (
    has_matrices,
    is_known,
    named_layers,
    own_weights,
)
from keras_mhe._typing import KerasObject
from keras_mhe.regularizers import AddedRegularizer
from keras_mhe.regularizers._scheduled import unscheduled
from keras_mhe.regularizers._terms import neuron_terms_of


@dataclass(frozen=True)
class Place:
    """A kernel, or a layer with weights that are none.

    Attributes:
        name: As `NeuronKernel.name`.
        layer: The layer.
        axes: Where the layer keeps its kernel; `None` if it has none.
        kernel: The kernel; `None` if there is none or it is not built yet.
        reason: Why nothing can be put there; empty if it can.
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
    def layer_regularizer(self) -> KerasObject:
        """What the layer holds and saves; `None` where it has no kernel."""
        if self.axes is None:
            return None
        return attrgetter(self.axes.regularizer_path)(self.layer)

    @property
    def weights(self) -> list[KerasObject]:
        """The variables that the regularizer stands on.

        The kernel, and with LoRA its factors, to which Keras gives the
        kernel's.
        """
        kernel = None if self.kernel is None else self.kernel.variable
        found = [kernel] if isinstance(kernel, keras.Variable) else []
        return found + (factors(self.layer) if self.has_lora else [])

    @property
    def regularizer(self) -> KerasObject:
        """What acts on the kernel now, or will when it is built."""
        if not self.weights:
            return self.layer_regularizer
        return unscheduled(self.weights[-1].regularizer)

    @property
    def has_lora(self) -> bool:
        """Whether the layer has factors of LoRA."""
        return self.axes is not None and bool(factors(self.layer))

    @property
    def idle_terms(self) -> list[KerasObject]:
        """Terms that LoRA leaves without an effect."""
        present = self.regularizer
        acts = (
            isinstance(present, AddedRegularizer)
            and present.layer is self.layer
            and has_known_weight(self.layer)
        )
        return neuron_terms_of(present) if self.has_lora and not acts else []

    def set_regularizer(self, regularizer: KerasObject) -> None:
        """Sets the layer's, which is saved, and the variables', which act."""
        self.set_layer_regularizer(regularizer)
        for variable in self.weights:
            variable.regularizer = regularizer

    def set_layer_regularizer(self, regularizer: KerasObject) -> None:
        """Sets what the layer holds and saves."""
        assert self.axes is not None
        *holders, name = self.axes.regularizer_path.split(".")
        holder = self.layer
        for attribute in holders:
            holder = getattr(holder, attribute)
        setattr(holder, name, regularizer)

    @property
    def key(self) -> int:
        """Of the variable, or of a layer that is not built."""
        return id(self.layer if self.kernel is None else self.kernel.variable)


def places(model: KerasObject) -> Iterator[Place]:
    """Yields the kernels of a model and its other layers with weights."""
    seen: dict[int, str] = {}
    if has_matrices(model):
        reason = "weights of the model itself are not known"
        yield Place(model.name, model, reason=reason)
    for name, layer in named_layers(model):
        if is_known(layer):
            found = list(_kernels(name, layer))
        else:
            reason = _why_no_kernel(layer)
            found = [Place(name, layer, reason=reason)] if reason else []
        for place in found:
            if place.key in seen:
                reason = f"shared: see {seen[place.key]}"
                yield replace(place, reason=reason)
            else:
                seen[place.key] = place.name
                yield place


def _kernels(name: str, layer: KerasObject) -> Iterator[Place]:
    try:
        found = axes_of(layer)
    except AttributeError:  # Of a kernel that tells how many groups there are.
        yield Place(name, layer, reason="not built yet: build it first")
        return
    if not layer.built:
        for axes in found:
            yield Place(name, layer, axes)
        return
    if not has_known_weight(layer):
        reason = f"quantized ({layer.quantization_mode})"
        yield Place(name, layer, found[0], reason=reason)
        return
    kernels = kernels_of_layer(name, layer)
    for axes, kernel in zip(found, kernels, strict=True):
        yield Place(kernel.name, layer, axes, kernel, _why_not(kernel))


def _why_not(kernel: NeuronKernel) -> str:
    if kernel.layer.quantization_mode == "int8" and not factors(kernel.layer):
        return "quantized (int8)"
    if not isinstance(kernel.variable, keras.Variable):
        return "computed from other weights"
    if kernel.num_neurons < 2:
        return "one neuron" if kernel.groups == 1 else "one neuron in a group"
    return "neurons of one entry" if kernel.dim < 2 else ""


def _why_no_kernel(layer: KerasObject) -> str:
    """For a kind of layer that is not known; empty if it has no weights."""
    has_own_build = type(layer).build is not keras.Layer.build
    holds_known = any(is_known(inner) for _, inner in named_layers(layer))
    if not layer.built and has_own_build and not holds_known:
        return "not built yet: build it first"
    if has_matrices(layer):
        return f"neurons of {type(layer).__name__} are not known"
    return "no kernel" if own_weights(layer) else ""

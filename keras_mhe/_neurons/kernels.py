"""The kernels of a model that hold neurons, and what else has weights."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from math import prod

import keras
from keras import ops

from keras_mhe._neurons.computed import (
    computed_weight,
    has_known_weight,
    is_adapted,
    stored_weight,
)
from keras_mhe._neurons.registry import KernelAxes, is_known, kernel_axes
from keras_mhe._neurons.walk import (
    check_model,
    has_matrices,
    named_layers,
    own_weights,
)
from keras_mhe._typing import KerasObject, Tensor
from keras_mhe._validation import axes_of_rank, check_groups
from keras_mhe.ops import hyperspherical_energy
from keras_mhe.ops._pairs.neurons import float_tensor, neuron_columns


@dataclass(frozen=True)
class NeuronKernel:
    """A weight whose neurons can be compared.

    Attributes:
        name: Name of the layer, after the names of the nested models it is
            in, and before the weight's name where a layer has several
            kernels, joined by slashes.
        variable: The Keras variable; with LoRA the one that is frozen.
        neuron_axis: Axis or axes that count the neurons.
        groups: Blocks of neurons that do not meet each other.
        layer: The layer that holds it, or `None`.
        path: Attribute of the layer that is the kernel, or of its cell.

    Example:
        >>> import keras
        >>> from keras_mhe.analysis import NeuronKernel
        >>> layer = keras.layers.Embedding(5, 3)
        >>> layer.build()
        >>> kernel = NeuronKernel("words", layer.embeddings, neuron_axis=0)
        >>> kernel.num_neurons, kernel.dim
        (5, 3)
    """

    name: str
    variable: KerasObject
    neuron_axis: int | tuple[int, ...] = -1
    groups: int = 1
    layer: KerasObject = None
    path: str = ""

    @property
    def num_neurons(self) -> int:
        """Number of neurons that meet each other, those of one group."""
        axes = self.neuron_axis
        named = (axes,) if isinstance(axes, int) else axes
        count: int = prod(self.variable.shape[axis] for axis in named)
        return count // self.groups

    @property
    def dim(self) -> int:
        """Number of entries of each neuron's vector."""
        size: int = prod(self.variable.shape)
        return size // (self.num_neurons * self.groups)

    def columns(self) -> Tensor:
        """The present neurons, a float tensor of shape `(dim, N)`.

        With `N` that of all groups, one group after the other.
        """
        kernel = self.variable
        if self.layer is not None:
            kernel = computed_weight(self.layer, self.path)
        return neuron_columns(float_tensor(kernel), self.neuron_axis)

    def energy(self, *, power: float, distance: str, half_space: bool) -> float:
        """Hyperspherical energy of the kernel's present values."""
        return float(
            ops.convert_to_numpy(
                hyperspherical_energy(
                    self.columns(),
                    power=power,
                    distance=distance,
                    half_space=half_space,
                    groups=self.groups,
                )
            )
        )


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


def neuron_kernels(model: KerasObject) -> list[NeuronKernel]:
    """Finds the kernels of a built model's layers, nested models included.

    Covers dense, einsum, embedding and all convolution layers, both kernels
    of the LSTM, GRU, simple and convolutional recurrent layers and of their
    cells, the heads of `keras_mhe.layers`, what `register_neurons` was told,
    and any of these in a wrapper such as `SpectralNormalization` or in a
    layer of layers such as `MultiHeadAttention`. Kernels with fewer than two
    neurons to compare, or with vectors of one entry, or quantized with int4,
    GPTQ or AWQ, are left out, and a shared layer counts once.

    Args:
        model: A built Keras model.

    Returns:
        List of `NeuronKernel` in the order of `model.layers`.

    Raises:
        ValueError: If it is no model of Keras, or not built, so has no
            kernels yet, or if what `register_neurons` was told does not fit a
            layer.

    Example:
        >>> import keras
        >>> from keras_mhe.analysis import neuron_kernels
        >>> model = keras.Sequential(
        ...     [keras.Input((4,)), keras.layers.Dense(3, name="hidden")]
        ... )
        >>> [(k.name, k.num_neurons, k.dim) for k in neuron_kernels(model)]
        [('hidden', 3, 4)]
    """
    check_model(model)
    if not model.built:
        raise ValueError(
            "`model` must be built. Received: a model without weights. Call "
            "it on data, or give it an Input."
        )
    found: dict[Hashable, NeuronKernel] = {}
    for place in places(model):
        kernel = place.kernel
        if kernel is not None and kernel.num_neurons > 1 and kernel.dim > 1:
            found.setdefault(place.key, kernel)
    return list(found.values())


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


_NOT_BUILT = "not built yet: build it first"


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


def layers_not_known(model: KerasObject) -> list[str]:
    """Names of the layers with weights that may be neurons, or packed ones."""
    named = [(model.name, model), *named_layers(model)]
    return [
        name
        for name, layer in named
        if (has_matrices(layer) and not is_known(layer))
        or not has_known_weight(layer)
    ]

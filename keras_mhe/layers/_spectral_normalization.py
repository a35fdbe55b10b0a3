"""Spectral normalization as a parametrisation of another layer's kernels."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from keras_mhe import _numerics, _validation
from keras_mhe._kernel_axes import KernelAxes, kernel_axes
from keras_mhe._registration import register
from keras_mhe._typing import KerasObject, Tensor
from keras_mhe.functional import power_iteration, rayleigh_quotient
from keras_mhe.functional._spectral import divided_by_norm

#: Iterations on the initial kernel, as in PyTorch's parametrisation.
_INITIAL_ITERATIONS = 15

_state = threading.local()


@contextmanager
def held_singular_vectors() -> Iterator[None]:
    """Within it, `SpectralNormalization` does not move its vectors.

    For a network that one training step calls several times, as the
    discriminator of a GAN that sees generated images and then real ones: one
    power iteration for each update of the weights, and all calls with the
    same weights. It acts while Python runs the call: around the call in
    `train_step`, or in a function that is being compiled; not around a
    function that was compiled before, and only for calls of the same thread.

    Example:
        >>> import numpy as np
        >>> import keras
        >>> from keras_mhe.layers import SpectralNormalization
        >>> from keras_mhe.layers import held_singular_vectors
        >>> layer = SpectralNormalization(keras.layers.Dense(2))
        >>> images = np.ones((1, 3), "float32")
        >>> generated = layer(images, training=True)
        >>> before = [keras.ops.convert_to_numpy(u) for u in layer.vectors_u]
        >>> with held_singular_vectors():
        ...     real = layer(images, training=True)
        >>> after = [keras.ops.convert_to_numpy(u) for u in layer.vectors_u]
        >>> bool(np.all(before[0] == after[0]))
        True
    """
    before = getattr(_state, "is_held", False)
    _state.is_held = True
    try:
        yield
    finally:
        _state.is_held = before


@register("SpectralNormalization")
class SpectralNormalization(keras.layers.Wrapper):  # type: ignore[misc]
    """Computes a layer with its kernel divided by its spectral norm.

    A parametrisation: the stored kernel `W` of the wrapped layer stays as it
    is, raw and trainable, and the layer computes with `W / sigma(W)`. The
    gradient flows through `sigma = v^T W u`, with the singular vectors `u`
    and `v` constant. They are weights of this layer, and move by power
    iteration in training; at inference they rest and nothing changes.

    `layer.layer.kernel` is the raw kernel, which the wrapped layer's own
    regularizer (`MHE`, weight decay), constraint and the optimizer see. Bias
    and other weights are not touched.

    Args:
        layer: The layer: `Dense`, `Embedding`, a convolution (also
            transposed, depthwise or separable), `LSTM`, `GRU` or `SimpleRNN`;
            with `kernels` also others, such as `EinsumDense`. It may be
            built, and must be if its `build` takes more than one shape. Its
            dtype policy is used.
        power_iterations: Int >= 1, steps of the power iteration in a call in
            training. Defaults to `1`.
        kernels: `None`, or a dictionary from the attribute of each kernel to
            normalize to the axis, or list of axes, that counts its neurons.
            `None` knows those of the layers named above, of a recurrent layer
            the kernel of the inputs only; for both of them write
            `{"cell.kernel": -1, "cell.recurrent_kernel": -1}`. Defaults to
            `None`.
        differentiate_vectors: Bool. Whether the gradient of a call that
            moves the vectors flows through the power iteration as well, as
            in the published program; it hardly differs once the vectors are
            near the singular ones. Defaults to `False`.
        kwargs: Arguments of `keras.layers.Layer`, such as `name`, but not
            `dtype`.

    Call arguments:
        inputs: As the wrapped layer has it.
        training: Bool. Whether to move the vectors, unless the layer or the
            wrapped one is not `trainable` or the call is within
            `held_singular_vectors`.
        args, kwargs: Other arguments of the wrapped layer's call.

    Input shape:
        As the wrapped layer has it.

    Output shape:
        As the wrapped layer has it, in its dtype.

    Attributes:
        layer: The wrapped layer.
        vectors_u: List of weights, the vector `u` of each kernel, shape
            `(num_neurons,)`, float32 (float64 for float64 kernels).
        vectors_v: List of weights, the vector `v` of each, shape `(dim,)`.

    Numerics:
        The kernel counts as a matrix with a column for each neuron: for a
        convolution `(height * width * in, out)`, also with groups; for a
        depthwise convolution `(height * width, in * multiplier)`. Vectors and
        `sigma` are computed in float32 at least, whatever the policy. The
        vectors start from a random direction (Keras' global seed) with 15
        iterations on the initial kernel, and are saved with the model. A
        kernel that is replaced (`assign`, `set_weights` of the wrapped layer)
        needs `converge`; until then `sigma` is that of vectors of another
        kernel, and where it is zero or less the raw kernel is used. A kernel
        of zeros stays zeros.

    Raises:
        ValueError: On construction, if an argument is outside its range; when
            it is built, if a kernel is not found; on the call, if a kernel was
            quantized, or if the wrapped layer draws from Keras' global seed.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> from keras_mhe.layers import SpectralNormalization
        >>> dense = keras.layers.Dense(
        ...     4, kernel_regularizer=keras_mhe.MHE(1e-6), use_bias=False
        ... )
        >>> layer = SpectralNormalization(dense)
        >>> outputs = layer(keras.ops.eye(3), training=False)
        >>> norm = keras_mhe.functional.singular_values(outputs)[0]
        >>> abs(round(float(norm), 2) - 1.0) <= 0.01
        True

    References:
        Miyato et al., "Spectral Normalization for Generative Adversarial
        Networks", ICLR 2018, arXiv:1802.05957. Differs: `v` is stored too, so
        that calls between two power iterations have the same `sigma`, and
        the vectors start near the singular ones. The published MHE-GAN
        differentiates through the power iteration.
    """

    def __init__(
        self,
        layer: KerasObject,
        power_iterations: int = 1,
        *,
        kernels: dict[str, int | tuple[int, ...]] | None = None,
        differentiate_vectors: bool = False,
        **kwargs: Any,
    ) -> None:
        if "dtype" in kwargs:
            raise ValueError(
                "`dtype` is that of the wrapped layer; give it to that. "
                f"Received: dtype={kwargs['dtype']!r}."
            )
        self.power_iterations = _validation.positive_integer(
            "power_iterations", power_iterations
        )
        self.differentiate_vectors = _validation.boolean(
            "differentiate_vectors", differentiate_vectors
        )
        # Kernels are read as they are stored, and the wrapped layer casts.
        policy = getattr(layer, "dtype_policy", None)
        super().__init__(
            layer,
            autocast=False,
            dtype=getattr(policy, "variable_dtype", None),
            **kwargs,
        )
        self.kernels = None if kernels is None else _checked_kernels(kernels)
        self.supports_masking = layer.supports_masking
        self.vectors_u: list[KerasObject] = []
        self.vectors_v: list[KerasObject] = []

    def build(self, input_shape: Any = None) -> None:
        """Builds the wrapped layer and the vectors of its kernels."""
        super().build(input_shape)
        self._axes = self._find_kernels()
        self._starts: list[_Start] = []
        for axes in self._axes:
            start = _Start(axes.variable(self.layer), axes.neuron_axis)
            self._starts.append(start)
            name = axes.path.replace(".", "_")
            self.vectors_u.append(self._add_vector(f"{name}_u", start, 0))
            self.vectors_v.append(self._add_vector(f"{name}_v", start, 1))
        self.built = True

    def _find_kernels(self) -> list[KernelAxes]:
        if self.kernels is None:
            found = list(kernel_axes(self.layer))
            if not found:
                raise ValueError(
                    "`kernels` must name the kernels of a "
                    f"{type(self.layer).__name__} layer, for example "
                    "kernels={'kernel': -1}. Received: kernels=None."
                )
            return found
        found = [KernelAxes(*item) for item in self.kernels.items()]
        for axes in found:
            try:
                shape = axes.variable(self.layer).shape
            except AttributeError as error:
                raise ValueError(
                    "`kernels` must name weights of the wrapped layer. "
                    f"Received: {axes.path!r} for a "
                    f"{type(self.layer).__name__} layer."
                ) from error
            _validation.axes_of_rank(axes.neuron_axis, shape)
        if len({id(axes.variable(self.layer)) for axes in found}) < len(found):
            raise ValueError(
                "`kernels` must name each kernel once. "
                f"Received: kernels={self.kernels}."
            )
        return found

    def _add_vector(self, name: str, start: "_Start", side: int) -> KerasObject:
        return self.add_weight(
            name=name,
            shape=(start.sizes[side],),
            initializer=lambda shape, dtype: start.vectors()[side],
            dtype=start.dtype,
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
        )

    def call(
        self,
        inputs: Any,
        *args: Any,
        training: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Returns what the wrapped layer makes with normalized kernels."""
        is_held = getattr(_state, "is_held", False)
        is_trainable = self.trainable and self.layer.trainable
        if training and is_trainable and not is_held:
            vectors = self._move(self.power_iterations)
        else:
            vectors = self._stored_vectors()
        normalized = self._normalized(vectors)
        variables = self.layer.variables
        # All of them, since the scope hides those of the scopes around it.
        with keras.StatelessScope(
            [(v, normalized.get(id(v), v.value)) for v in variables],
            collect_losses=True,
        ) as scope:
            given = dict(scope.state_mapping)
            outputs = self.layer(inputs, *args, **kwargs)
        if set(scope.state_mapping) != set(given):
            raise ValueError(
                f"The {type(self.layer).__name__} layer changed a variable "
                "that is not its own. Give it a `keras.random.SeedGenerator` "
                "instead of Keras' global seed."
            )
        for loss in scope.losses:
            # A copy, since the wrapped layer claims the tensor as its own.
            self.add_loss(loss + 0.0)
        for variable in variables:
            value = scope.get_current_value(variable)
            if value is not given[id(variable)]:
                variable.assign(value)
        return outputs

    def _stored_vectors(self) -> list[tuple[Tensor, Tensor]]:
        """Returns copies, which a later call may not overwrite."""
        self._variables()
        stored = zip(self.vectors_u, self.vectors_v, strict=True)
        return [(ops.copy(u.value), ops.copy(v.value)) for u, v in stored]

    def _variables(self) -> list[KerasObject]:
        """Returns the kernels, which must be there and be floats."""
        if not self.built:
            raise ValueError(
                "The layer has no weights before it is built. Call it on data."
            )
        found = [axes.variable(self.layer) for axes in self._axes]
        for axes, variable in zip(self._axes, found, strict=True):
            is_variable = isinstance(variable, keras.Variable)
            if not is_variable or "float" not in variable.dtype:
                raise ValueError(
                    f"The kernel {axes.path!r} must be a float variable. "
                    f"Received: {variable}. Use `fold` before a layer is "
                    "quantized or gets adapters."
                )
        return found

    def _move(self, iterations: int) -> list[tuple[Tensor, Tensor]]:
        """Moves and stores the vectors, and returns them."""
        starts = [u.value for u in self.vectors_u]
        return self._iterate(starts, iterations)

    def _iterate(
        self, starts: list[Tensor], iterations: int
    ) -> list[tuple[Tensor, Tensor]]:
        moved = []
        for axes, kernel, start, u, v in zip(
            self._axes,
            self._variables(),
            starts,
            self.vectors_u,
            self.vectors_v,
            strict=True,
        ):
            vectors = power_iteration(
                kernel.value,
                start,
                iterations=iterations,
                neuron_axis=axes.neuron_axis,
                stop_gradient=not self.differentiate_vectors,
            )
            u.assign(ops.stop_gradient(vectors[0]))
            v.assign(ops.stop_gradient(vectors[1]))
            moved.append(vectors)
        return moved

    def _normalized(
        self, vectors: list[tuple[Tensor, Tensor]]
    ) -> dict[int, Tensor]:
        """Returns `W / sigma` by the identity of the variable of `W`."""
        normalized = {}
        for axes, variable, (u, v) in zip(
            self._axes, self._variables(), vectors, strict=True
        ):
            kernel = variable.value
            sigma = rayleigh_quotient(
                kernel, u, v, neuron_axis=axes.neuron_axis
            )
            normalized[id(variable)] = divided_by_norm(kernel, sigma)
        return normalized

    def normalized_kernels(self) -> list[Tensor]:
        """Returns what the layer computes with at inference, `W / sigma`.

        Returns:
            List of tensors, one for each kernel.
        """
        return list(self._normalized(self._stored_vectors()).values())

    def converge(self, iterations: int = 100) -> None:
        """Moves the vectors to the singular vectors of the present kernel.

        For a kernel that was replaced, since a call moves them by
        `power_iterations` steps only, and only in training. Begins anew, with
        the random direction with which the layer was built.

        Args:
            iterations: Int >= 1. Defaults to `100`.

        Raises:
            ValueError: If the layer is not built.
        """
        self._variables()
        iterations = _validation.positive_integer("iterations", iterations)
        self._iterate([start.direction() for start in self._starts], iterations)

    def fold(self) -> KerasObject:
        """Returns a plain layer that computes the same at inference.

        A new layer of the wrapped layer's class and configuration, with
        `W / sigma` in place of `W`, for export and for programs without this
        library.

        Returns:
            A built layer with the wrapped layer's name.

        Raises:
            ValueError: If the layer is not built.
        """
        normalized = self._normalized(self._stored_vectors())
        folded = type(self.layer).from_config(self.layer.get_config())
        folded.build_from_config(self.layer.get_build_config())
        for new, old in zip(folded.weights, self.layer.weights, strict=True):
            # A copy, since JAX' trainer deletes arrays that it has replaced.
            new.assign(normalized.get(id(old), ops.copy(old.value)))
        return folded

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the wrapped layer's."""
        return self.layer.compute_output_shape(input_shape)

    def compute_output_spec(self, inputs: Any, **kwargs: Any) -> Any:
        """Returns the wrapped layer's."""
        kwargs.pop("training", None)
        return self.layer.compute_output_spec(inputs, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Returns the wrapped layer's."""
        return self.layer.compute_mask(inputs, previous_mask)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        config = super().get_config()
        del config["dtype"]
        return {
            **config,
            "power_iterations": self.power_iterations,
            "differentiate_vectors": self.differentiate_vectors,
            "kernels": None
            if self.kernels is None
            else {
                path: axis if isinstance(axis, int) else list(axis)
                for path, axis in self.kernels.items()
            },
        }


class _Start:
    """The vectors of an initial kernel, computed when weights get values."""

    def __init__(
        self, kernel: KerasObject, neuron_axis: int | tuple[int, ...]
    ) -> None:
        shape = kernel.shape
        positions = _validation.axes_of_rank(neuron_axis, shape)
        num_neurons = math.prod(shape[position] for position in positions)
        self.sizes = (num_neurons, math.prod(shape) // num_neurons)
        self.dtype = _numerics.computation_dtype(kernel)
        self._kernel = kernel
        self._neuron_axis = neuron_axis
        # Gives the same numbers for both vectors.
        self._random = keras.initializers.RandomNormal(stddev=1.0)

    def direction(self) -> Tensor:
        return self._random((self.sizes[0],), dtype=self.dtype)

    def vectors(self) -> tuple[Tensor, Tensor]:
        return power_iteration(
            self._kernel.value,
            self.direction(),
            iterations=_INITIAL_ITERATIONS,
            neuron_axis=self._neuron_axis,
        )


def _checked_kernels(kernels: Any) -> dict[str, int | tuple[int, ...]]:
    is_named = isinstance(kernels, dict) and kernels
    if not is_named or not all(isinstance(path, str) for path in kernels):
        raise ValueError(
            "`kernels` must be a dictionary from attributes of the layer to "
            f"axes, such as {{'kernel': -1}}. Received: kernels={kernels!r}."
        )
    return {path: _validation.axes(axis) for path, axis in kernels.items()}

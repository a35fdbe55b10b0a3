"""Spectral normalization as a parametrisation of another layer's kernels."""

from typing import Any

import keras

from keras_mhe import _backend
from keras_mhe._registration import register
from keras_mhe._typing import KerasObject, Tensor
from keras_mhe._validation import (
    axes_config,
    check_boolean,
    check_integer,
    check_keras_3,
)
from keras_mhe.layers._kernels_to_normalize import (
    checked_kernels,
    kernels_to_normalize,
)
from keras_mhe.layers._other_weights import (
    called_with,
    leave_out_of_remat,
    plain_copy,
)
from keras_mhe.layers._recomputation import StatefulCall
from keras_mhe.layers._singular_vectors import SingularVectors, are_held


@register("SpectralNormalization")
class SpectralNormalization(StatefulCall, keras.layers.Wrapper):  # type: ignore[misc]
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
        layer: The layer: `Dense`, `EinsumDense`, `Embedding`, a convolution
            (also transposed, depthwise or separable) or a recurrent layer;
            with `kernels` also others. It may be
            built, and must be if its `build` takes more than one shape. Its
            dtype policy is used.
        power_iterations: Int >= 1, steps of the power iteration in a call in
            training. Defaults to `1`.
        kernels: `None`, or a dictionary from the attribute of each kernel to
            normalize to the axis, or list of axes, that counts its neurons.
            `None` knows those of the layers named above and what
            `keras_mhe.register_neurons` was told, of a recurrent layer
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
        >>> norm = keras_mhe.ops.singular_values(outputs)[0]
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
        check_keras_3("layer", layer)
        self.power_iterations = check_integer(
            "power_iterations", power_iterations, at_least=1
        )
        self.differentiate_vectors = check_boolean(
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
        self.kernels = None if kernels is None else checked_kernels(kernels)
        self.supports_masking = layer.supports_masking
        self._vectors: tuple[SingularVectors, ...] = ()

    @property
    def vectors_u(self) -> list[KerasObject]:
        """The weight `u` of each kernel."""
        return [vectors.u for vectors in self._vectors]

    @property
    def vectors_v(self) -> list[KerasObject]:
        """The weight `v` of each kernel."""
        return [vectors.v for vectors in self._vectors]

    def build(self, input_shape: Any = None) -> None:
        """Builds the wrapped layer and the vectors of its kernels."""
        super().build(input_shape)
        leave_out_of_remat(self.layer)
        self._vectors = tuple(
            SingularVectors(self.layer, axes, self.add_weight)
            for axes in kernels_to_normalize(self.layer, self.kernels)
        )
        self.built = True

    def call(
        self,
        inputs: Any,
        *args: Any,
        training: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Returns what the wrapped layer makes with normalized kernels."""
        is_trainable = self.trainable and self.layer.trainable
        moves = training and is_trainable and not are_held()
        normalized = {}
        # A loop, because torch.compile does not follow a comprehension.
        for vectors in self._vectors:
            normalized[id(vectors.kernel)] = (
                vectors.moved_and_normalized(
                    self.power_iterations,
                    stop_gradient=not self.differentiate_vectors,
                )
                if moves
                else vectors.normalized()
            )
        outputs, losses, changes = called_with(
            self.layer, normalized, inputs, *args, **kwargs
        )
        for loss in losses:
            # A copy, since the wrapped layer claims the tensor as its own.
            self.add_loss(loss + 0.0)
        if _backend.is_recomputing():  # The first call did the rest.
            return outputs
        for variable, value in changes:
            variable.assign(value)
        return outputs

    def normalized_kernels(self) -> list[Tensor]:
        """Returns what the layer computes with at inference, `W / sigma`.

        Returns:
            List of tensors, one for each kernel.

        Raises:
            ValueError: If the layer is not built.
        """
        self._check_built()
        return [vectors.normalized() for vectors in self._vectors]

    def _check_built(self) -> None:
        if not self.built:
            raise ValueError(
                "The layer has no weights before it is built. Call it on data."
            )

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
        self._check_built()
        iterations = check_integer("iterations", iterations, at_least=1)
        for vectors in self._vectors:
            vectors.restart(iterations)

    def fold(self) -> KerasObject:
        """Returns a plain layer that computes the same at inference.

        A new layer of the wrapped layer's class and configuration, with
        `W / sigma` in place of `W` and without regularizers and constraints
        of weights, for export and for programs without this library.

        Returns:
            A built layer with the wrapped layer's name.

        Raises:
            ValueError: If the layer is not built.
        """
        kernels = self.normalized_kernels()
        normalized = {
            id(vectors.kernel): kernel
            for vectors, kernel in zip(self._vectors, kernels, strict=True)
        }
        return plain_copy(self.layer, normalized)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the wrapped layer's."""
        return self.layer.compute_output_shape(input_shape)

    def compute_output_spec(
        self, inputs: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Returns the wrapped layer's."""
        kwargs.pop("training", None)
        return self.layer.compute_output_spec(inputs, *args, **kwargs)

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
                path: axes_config(axis) for path, axis in self.kernels.items()
            },
        }

"""The first singular vectors of a kernel, which power iteration moves."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._neurons.registry import KernelAxes
from keras_mhe._typing import KerasObject, Tensor
from keras_mhe._validation import axes_of_rank
from keras_mhe.ops import power_iteration, rayleigh_quotient
from keras_mhe.ops._spectral.power_iteration import divided_by_norm

#: Iterations on the initial kernel, as in PyTorch's parametrisation.
_INITIAL_ITERATIONS = 15

_state = threading.local()


def are_held() -> bool:
    """Returns whether a call is within `held_singular_vectors`."""
    return getattr(_state, "is_held", False)


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
    before = are_held()
    _state.is_held = True
    try:
        yield
    finally:
        _state.is_held = before


class SingularVectors:
    """The vectors `u` and `v` of a kernel of a layer.

    Args:
        layer: The built layer.
        axes: Which of its weights, and which axes are neurons.
        add_weight: Makes the two weights, as `keras.layers.Layer.add_weight`.
    """

    def __init__(
        self,
        layer: KerasObject,
        axes: KernelAxes,
        add_weight: Callable[..., KerasObject],
    ) -> None:
        self._layer = layer
        self._axes = axes
        shape = self.kernel.shape
        positions = axes_of_rank(axes.neuron_axis, shape)
        num_neurons = math.prod(shape[position] for position in positions)
        self._dtype = _numerics.computation_dtype(self.kernel)
        # Gives the same numbers for both vectors, and for `restart`.
        self._random = keras.initializers.RandomNormal(stddev=1.0)
        self._num_neurons = num_neurons

        def weight(side: int, size: int) -> KerasObject:
            return add_weight(
                name=f"{axes.path.replace('.', '_')}_{'uv'[side]}",
                shape=(size,),
                # Evaluated when the weight gets its value, after the kernel.
                initializer=lambda shape, dtype: self._iterated(
                    self._wide_kernel(),
                    self._random_direction(),
                    _INITIAL_ITERATIONS,
                )[side],
                dtype=self._dtype,
                trainable=False,
                autocast=False,
                aggregation="only_first_replica",
            )

        self.u = weight(0, num_neurons)
        self.v = weight(1, math.prod(shape) // num_neurons)

    @property
    def kernel(self) -> KerasObject:
        """The raw kernel, which must be a float variable."""
        variable = self._axes.variable(self._layer)
        is_variable = isinstance(variable, keras.Variable)
        if not is_variable or "float" not in variable.dtype:
            raise ValueError(
                f"The kernel {self._axes.path!r} must be a float variable. "
                f"Received: {variable}. Use `fold` before a layer is "
                "quantized or gets adapters."
            )
        return variable

    def stored(self) -> tuple[Tensor, Tensor]:
        """Returns copies of both, which moving does not overwrite."""
        return ops.copy(self.u.value), ops.copy(self.v.value)

    def restart(self, iterations: int) -> None:
        """Begins anew with the random direction of the beginning."""
        start = self._random_direction()
        self._store(self._iterated(self._wide_kernel(), start, iterations))

    def normalized(self) -> Tensor:
        """Returns the kernel divided by its spectral norm."""
        return self._divided(self._wide_kernel(), self.stored())

    def moved_and_normalized(
        self, iterations: int, *, stop_gradient: bool
    ) -> Tensor:
        """Improves both vectors, and returns the kernel divided by its norm.

        A call that gradient checkpointing makes again leaves the vectors as
        the first one left them, with which it computed.
        """
        kernel = self._wide_kernel()
        is_recomputing = _backend.is_recomputing()
        if is_recomputing and stop_gradient:
            return self._divided(kernel, self.stored())
        vectors = self._iterated(
            kernel, self.u.value, iterations, stop_gradient
        )
        if not is_recomputing:
            self._store(vectors)
        return self._divided(kernel, vectors)

    def _wide_kernel(self) -> Tensor:
        """The kernel, cast once: so gradients meet in float32 at least."""
        return ops.cast(self.kernel.value, self._dtype)

    def _divided(
        self, kernel: Tensor, vectors: tuple[Tensor, Tensor]
    ) -> Tensor:
        sigma = rayleigh_quotient(
            kernel, *vectors, neuron_axis=self._axes.neuron_axis
        )
        return ops.cast(divided_by_norm(kernel, sigma), self.kernel.dtype)

    def _random_direction(self) -> Tensor:
        return self._random((self._num_neurons,), dtype=self._dtype)

    def _iterated(
        self,
        kernel: Tensor,
        start: Tensor,
        iterations: int,
        stop_gradient: bool = True,
    ) -> tuple[Tensor, Tensor]:
        return power_iteration(
            kernel,
            start,
            iterations=iterations,
            neuron_axis=self._axes.neuron_axis,
            stop_gradient=stop_gradient,
        )

    def _store(self, vectors: tuple[Tensor, Tensor]) -> None:
        self.u.assign(ops.stop_gradient(vectors[0]))
        self.v.assign(ops.stop_gradient(vectors[1]))

"""Kernels whose neurons start at the minimum of their energy."""

import copy
import math
import random
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import (
    axes_of_rank,
    check_groups,
    check_integer,
    is_integer,
    is_real,
)
from keras_mhe.ops._energy.arrangements import spread_directions
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.neurons import (
    Directions,
    kernel_of_columns,
    neuron_columns,
)


@register("MinimumEnergy")
class MinimumEnergy(keras.initializers.Initializer):  # type: ignore[misc]
    """Starts the neurons where their hyperspherical energy is lowest.

    The directions, of `N` neurons of dimension `d` in a group, are

    - in half space, `N <= d`: a random orthonormal frame, the minimum;
    - in full space, Euclidean, `N <= d + 1`: a random rotation of the regular
      simplex, the minimum;
    - in full space, Euclidean, `N = 2d`: a random rotation of the
      cross-polytope, the minimum (Cohn and Kumar 2007);
    - otherwise `steps` steps of `ops.lower_energy` from random
      directions: low, and no proof.

    The lengths are those that another initializer draws, so variances stay as
    He's or Glorot's scheme has them.

    Args:
        lengths: A Keras initializer, or the name of one, whose neurons have
            the lengths to take; or a real number > 0, the length of all.
            Defaults to `"he_normal"`.
        steps: Int >= 1, steps of a descent where no arrangement is known.
            Defaults to `100`.
        power: As for `keras_mhe.MHE`. Defaults to `2`.
        distance: As for `keras_mhe.MHE`. Defaults to `"euclidean"`.
        half_space: As for `keras_mhe.MHE`. Defaults to `False`.
        neuron_axis: As for `keras_mhe.MHE`. Defaults to `-1`.
        groups: As for `keras_mhe.MHE`. Defaults to `1`.
        seed: `None`, an int >= 0, or a `keras.random.SeedGenerator`, as for
            the initializers of Keras: an int gives the same kernel each time
            on a backend, `None` draws one when the initializer is made. Also
            the seed of `lengths` that are given by name. A deep copy goes on
            where the generator is, `clone` begins anew. Defaults to `None`.

    Raises:
        ValueError: On construction, if an argument is outside its range; on
            the call, if the shape does not have the axes or groups.

    Call arguments:
        shape: Shape of the kernel, rank 2 or more.
        dtype: Its dtype; computed in float32 at least.

    Numerics:
        Exact arrangements cost a QR decomposition of the kernel. A descent
        costs about `steps + 1` energies with their gradients: of 1,000 neurons
        of dimension 64 some seconds on a CPU.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> layer = keras.layers.Dense(
        ...     5, kernel_initializer=keras_mhe.initializers.MinimumEnergy()
        ... )
        >>> layer.build((None, 4))
        >>> energy = keras.ops.convert_to_numpy(keras_mhe.MHE()(layer.kernel))
        >>> abs(keras_mhe.analysis.energy_gap(float(energy), 5, 4)) < 1e-4
        True

    References:
        Liu et al., "Learning towards Minimum Hyperspherical Energy", NeurIPS
        2018, arXiv:1805.09298, for the energy; the initializer is ours.
        He et al., arXiv:1502.01852, for the lengths.
    """

    def __init__(
        self,
        lengths: Any = "he_normal",
        *,
        steps: int = 100,
        power: float = 2,
        distance: str = "euclidean",
        half_space: bool = False,
        neuron_axis: int | tuple[int, ...] = -1,
        groups: int = 1,
        seed: Any = None,
    ) -> None:
        self.form = EnergyForm(power, distance, half_space, neuron_axis, groups)
        self.steps = check_integer("steps", steps, at_least=1)
        self._given_seed = seed
        self.seed = _checked_seed(seed)
        self.lengths = self._checked_lengths(lengths)
        is_initializer = callable(lengths) or isinstance(lengths, dict)
        self._given_lengths = self.lengths if is_initializer else lengths

    def _checked_lengths(self, lengths: Any) -> Any:
        """Returns a number, or an initializer."""
        if not isinstance(lengths, str | dict) and not callable(lengths):
            if not is_real(lengths) or not 0 < lengths < math.inf:
                raise ValueError(
                    "`lengths` must be a finite real number > 0, a Keras "
                    f"initializer or its name. Received: lengths={lengths!r}."
                )
            return float(lengths)
        initializer = keras.initializers.get(lengths)
        config = initializer.get_config() if isinstance(lengths, str) else {}
        if "seed" in config:
            seed = self.seed
            config["seed"] = seed + 1 if isinstance(seed, int) else seed
            return type(initializer).from_config(config)
        return initializer

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Returns a kernel."""
        shape = _checked_shape(shape)
        dtype = keras.backend.standardize_dtype(dtype or keras.config.floatx())
        axes = axes_of_rank(self.form.neuron_axis, shape)
        computed = "float64" if dtype == "float64" else "float32"
        normal = keras.random.normal(shape, dtype=computed, seed=self.seed)
        columns = neuron_columns(normal, axes)
        check_groups(self.form.groups, columns.shape[1])
        directions = _backend.as_one_program(
            spread_directions, columns, self.form, self.steps
        )
        lengths = self._lengths(shape, computed, axes)
        kernel = kernel_of_columns(directions * lengths, shape, axes)
        return ops.cast(kernel, dtype)

    def _lengths(
        self, shape: tuple[int, ...], dtype: str, axes: tuple[int, ...]
    ) -> Any:
        """Returns the length of each neuron, or of all."""
        if isinstance(self.lengths, float):
            return self.lengths
        drawn = neuron_columns(self.lengths(shape, dtype=dtype), axes)
        inverse = Directions.of(drawn, 0.0).inverse_norms
        tiny = _numerics.smallest_normal(dtype)
        return ops.where(
            inverse > 0.0, 1.0 / _backend.at_least(inverse, tiny), 0.0
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        lengths = self._given_lengths
        if callable(lengths):
            lengths = keras.saving.serialize_keras_object(lengths)
        return {
            "lengths": lengths,
            "steps": self.steps,
            **self.form.get_config("block_size", "epsilon", "units"),
            "seed": keras.saving.serialize_keras_object(self._given_seed),
        }

    def __copy__(self) -> "MinimumEnergy":
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Returns the attributes for deep copies and pickles."""
        held: dict[int, _PortableGenerator] = {}

        def portable(value: Any) -> Any:
            if isinstance(value, keras.random.SeedGenerator):
                # One generator stays one where `lengths` draw from it too.
                return held.setdefault(id(value), _PortableGenerator(value))
            if isinstance(value, keras.initializers.Initializer):
                twin = copy.copy(value)
                twin.__dict__.update(portable(value.__dict__))
                return twin
            if isinstance(value, dict):
                return {name: portable(entry) for name, entry in value.items()}
            return value

        state: dict[str, Any] = portable(self.__dict__)
        return state

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MinimumEnergy":
        """Returns the initializer that `get_config` described."""
        objects = {
            name: keras.saving.deserialize_keras_object(value)
            for name, value in config.items()
            if isinstance(value, dict)
        }
        return cls(**{**config, **objects})


class _PortableGenerator:
    """Is copied and pickled as the generator, which holds a module."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __reduce__(self) -> tuple[Any, ...]:
        state = ops.convert_to_numpy(self._generator.state)
        return _generator, (self._generator.get_config(), state)


def _generator(config: dict[str, Any], state: Any) -> Any:
    generator = keras.random.SeedGenerator.from_config(config)
    generator.state.assign(state)
    return generator


def _checked_seed(seed: Any) -> Any:
    """Returns an int or a generator; a new int for `None`."""
    if seed is None:
        # As Keras does it, so `keras.utils.set_random_seed` holds for it too.
        return random.randint(1, int(1e9))
    if isinstance(seed, keras.random.SeedGenerator):
        return seed
    return check_integer("seed", seed, at_least=0)


def _checked_shape(shape: Any) -> tuple[int, ...]:
    """Returns a shape as a tuple, or raises for anything else."""
    is_sequence = isinstance(shape, list | tuple)
    if not is_sequence or not all(is_integer(size) for size in shape):
        raise ValueError(
            "`shape` must be a tuple of integers, the shape of a kernel. "
            f"Received: shape={shape!r}."
        )
    return tuple(map(int, shape))

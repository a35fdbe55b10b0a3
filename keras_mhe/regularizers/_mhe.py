"""Minimum Hyperspherical Energy as a Keras regularizer."""

from operator import attrgetter
from typing import Any

from keras_mhe import _backend
from keras_mhe._registration import register
from keras_mhe._typing import Tensor
from keras_mhe._validation import check_choice, check_real
from keras_mhe.ops._energy.gap import measure_of
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.regularizers._neurons import NeuronRegularizer


@register("MHE")
class MHE(NeuronRegularizer):
    """Minimum Hyperspherical Energy: keeps the neurons of a layer diverse.

    Adds `strength * hyperspherical_energy(kernel, ...)` to the loss. The
    energy is a mean over pairs of neurons, so a `strength` means the same for
    64 and for 64,000 neurons; it depends on directions only, so it neither
    shrinks nor grows the weights.

    With `units="gap"` it adds `strength` times the gap, which is 0 at the
    proven minimum and 1 for random directions. Then a `strength` pulls the
    same in every layer, narrow or wide, and the loss that `fit` prints is that
    of the task plus the strengths times numbers around 1 and below; see
    `keras_mhe.ops.hyperspherical_gap`.

    A regularizer sees one tensor and not its layer, so the axis of the
    neurons is an argument:

    - `Dense`, `Conv1D`, `Conv2D`, `Conv3D`: the default. Grouped convolution:
      `groups=` that of the layer.
    - Transposed convolution, whose kernel is `(..., filters, in)`:
      `neuron_axis=-2`.
    - `DepthwiseConv` and the depthwise part of `SeparableConv`, with a kernel
      `(..., in, multiplier)`: `neuron_axis=(-2, -1), groups=in` compares
      within each input channel.
    - `Embedding`: `neuron_axis=0`.
    - `EinsumDense`, `MultiHeadAttention`: the output axes, for example
      `(1, 2)` for a kernel `(in, heads, head_dim)`; `groups=heads` compares
      inside each head. `MultiHeadAttention` gives one regularizer to all its
      four kernels, whose axes differ.
    - `LSTM`, `GRU`: `groups=4`, `groups=3` compares gate by gate.

    **LoRA** freezes the kernel `W`, and Keras hands its regularizer to the
    factors `A` and `B`, which have no neurons. There the term is 0, with one
    warning; L2 in a sum acts on the factors. `keras_mhe.regularize`, called
    before or after `enable_lora`, knows the layer: its terms act on
    `W + scale * A B`. The same holds for the relatives of MHE. In a training
    loop of your own on JAX, read `model.losses` once before the first traced
    step: traced values do not tell that they are factors.

    Args:
        strength: Real number >= 0, the factor of the energy. Defaults to
            `1.0`.
        power: Real number >= 0. 0 is the logarithm. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Whether each neuron's opposite repels too, the
            form that the paper found best for hidden layers. Defaults to
            `False`.
        neuron_axis: Int or tuple of ints. The axes of the kernel that count
            its neurons. Defaults to `-1`.
        groups: Int >= 1. Blocks of neurons that do not meet each other.
            Defaults to `1`.
        epsilon: Real number >= 0. Added under the root of the norm. Defaults
            to `0.0`.
        block_size: `"auto"` or int >= 1. Edge of the tiles in which the
            table of pairs is computed, one alive at a time. Defaults to
            `"auto"`.
        units: `"energy"`, that of the paper, or `"gap"`. Defaults to
            `"energy"`.

    Raises:
        ValueError: On construction, if an argument is outside its range, or
            for gaps of angles in full space, where no minimum is proven; on
            the call, if the kernel does not have the axes or groups, or for
            gaps if its neurons have `power + 1` entries or fewer.

    Call arguments:
        x: The kernel, a float tensor of rank 2 or more.
        anchors: `None`, or an integer tensor of shape `(m,)` with indices of
            neurons: the mini-batch form, in which these meet all others.
            Keras passes none to a regularizer; the heads in
            `keras_mhe.layers` do.
        others: `None`, or an integer tensor of shape `(k,)` with indices of
            neurons that were drawn at random: the anchors meet these only.

    Example:
        >>> import keras
        >>> import keras_mhe
        >>> regularizer = keras_mhe.MHE(1.0, power=2, half_space=True)
        >>> layer = keras.layers.Dense(3, kernel_regularizer=regularizer)
        >>> layer.build((None, 4))
        >>> len(layer.losses)
        1

    References:
        Liu et al., "Learning towards Minimum Hyperspherical Energy", NeurIPS
        2018, arXiv:1805.09298. See `keras_mhe.ops.
        hyperspherical_energy` for the formulas and their edges.
    """

    power = property(attrgetter("form.power"))
    distance = property(attrgetter("form.distance"))
    half_space = property(attrgetter("form.half_space"))
    neuron_axis = property(attrgetter("form.neuron_axis"))
    groups = property(attrgetter("form.groups"))
    block_size = property(attrgetter("form.block_size"))
    epsilon = property(attrgetter("form.epsilon"))
    units = property(attrgetter("form.units"))

    def __init__(
        self,
        strength: float = 1.0,
        *,
        power: float = 2,
        distance: str = "euclidean",
        half_space: bool = False,
        neuron_axis: int | tuple[int, ...] = -1,
        groups: int = 1,
        epsilon: float = 0.0,
        block_size: int | str = "auto",
        units: str = "energy",
    ) -> None:
        self.strength = check_real("strength", strength, at_least=0)
        self.form = EnergyForm(
            power,
            distance,
            half_space,
            neuron_axis,
            groups,
            block_size,
            epsilon,
            units,
        )

    @staticmethod
    def from_reference(
        model_name: str, power_s: str | None = None, output_layer: bool = False
    ) -> "MHE":
        """Returns exactly the term of a program published with the paper.

        Args:
            model_name: Of the CIFAR program `"mhe"` (full space) or
                `"half_mhe"`. Of the GAN program `"gan"`, or `"sn_gan"` for a
                discriminator with spectral norm: they have the strengths
                2e-6 and 2e-7.
            power_s: Of the CIFAR program `"0"`, `"1"`, `"2"` or, with angles,
                `"a0"`, `"a1"`, `"a2"`; of the GAN program `None`. Defaults to
                `None`.
            output_layer: Whether the term is for the classifier of the CIFAR
                program, which regularizes it with another factor and always
                in full space. Defaults to `False`.

        Returns:
            An `MHE`: a `PublishedMHE` or `PublishedGANMHE`, with the program's
            factors and constants.

        Raises:
            ValueError: If an argument is not one of the choices.
        """
        # These classes derive from this one.
        from keras_mhe.regularizers._published import MODEL_NAMES, PublishedMHE
        from keras_mhe.regularizers._published_gan import (
            GAN_STRENGTHS,
            PublishedGANMHE,
        )

        names = (*MODEL_NAMES, *GAN_STRENGTHS)
        if check_choice("model_name", model_name, names) in MODEL_NAMES:
            return PublishedMHE(model_name, power_s, output_layer=output_layer)
        if power_s is not None or output_layer is not False:
            raise ValueError(
                "The GAN program's term has no `power_s` and no "
                f"`output_layer`. Received: power_s={power_s!r}, "
                f"output_layer={output_layer!r}."
            )
        return PublishedGANMHE(GAN_STRENGTHS[model_name])

    def __call__(
        self,
        x: Tensor,
        anchors: Tensor | None = None,
        others: Tensor | None = None,
    ) -> Tensor:
        """Returns `strength` times the energy or gap of the kernel `x`.

        float32 (float64 for float64 kernels; on TensorFlow the process's
        float dtype, if that is a shorter one, in which Keras adds losses).
        """
        energy = self.scaled(x, 1.0, anchors=anchors, others=others)
        return _backend.loss_summand(energy)

    def term(
        self,
        x: Tensor,
        anchors: Tensor | None = None,
        others: Tensor | None = None,
    ) -> Tensor:
        """Returns `strength` times the energy or gap of the kernel `x`."""
        return self.strength * measure_of(x, self.form, anchors, others)

    def has_gap(self, dim: int) -> bool:
        """Returns whether random neurons have a finite energy."""
        return self.form.power < dim - 1

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain JSON values."""
        return {"strength": self.strength, **self.form.get_config()}

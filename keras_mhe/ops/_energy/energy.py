"""Hyperspherical energy: value and gradient in one pass."""

from typing import Any

from keras import ops

from keras_mhe._typing import Tensor
from keras_mhe._validation import check_groups
from keras_mhe.ops._energy.means import (
    mean_of_all,
    mean_of_anchors,
    mean_of_sample,
)
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.indices import checked_indices
from keras_mhe.ops._pairs.neurons import float_tensor, neuron_columns, widened


def hyperspherical_energy(
    weights: Tensor,
    *,
    power: float = 2,
    distance: str = "euclidean",
    half_space: bool = False,
    neuron_axis: int | tuple[int, ...] = -1,
    groups: int = 1,
    epsilon: float = 0.0,
    anchors: Tensor | None = None,
    others: Tensor | None = None,
    block_size: int | str = "auto",
) -> Tensor:
    r"""Mean energy of all pairs of neuron directions; low means well spread.

    Each neuron is scaled to unit length, `u_i = w_i / |w_i|`. With the
    Euclidean distance `r = |u_i - u_j| = sqrt(2 - 2 u_i . u_j)` (0 to 2) or
    the angle `t = arccos(u_i . u_j)` (0 to pi, radians), a pair adds

        f = r**-power    or    -log(r)    for power=0    (euclidean)
        f = t**-power    or    -log(t)    for power=0    (angular)

    and the mean over all unordered pairs is returned. In half space the
    vectors `u_i` and their opposites `-u_i` together repel each other:
    `2N` vectors, `N(2N-1)` pairs, computed from the `N` neurons alone.

    Args:
        weights: Float tensor, Keras variable or array of rank 2 or more, for
            example a convolution's kernel `(height, width, in, filters)`.
            Integers are taken as float32.
        power: Real number >= 0, no unit, the `s` of the Riesz potential. 0
            is the logarithm. Defaults to `2`.
        distance: `"euclidean"` or `"angular"`. Defaults to `"euclidean"`.
        half_space: Bool. Whether to count each neuron's opposite too, so
            that lines instead of rays repel. Defaults to `False`.
        neuron_axis: Int or tuple of ints. The axis or axes of `weights` that
            count the neurons; the others hold their vectors. A tuple is
            flattened in the given order. Defaults to `-1`, right for
            `Dense` and convolution kernels.
        groups: Int >= 1. Number of contiguous blocks of the flattened neuron
            index; only neurons of one block meet, and the mean runs over the
            pairs of all blocks. Defaults to `1`.
        epsilon: Real number >= 0. Added under the root of the norm,
            `u = w / sqrt(|w|**2 + epsilon)`; the published program has 1e-4.
            With `epsilon > 0` the energy depends on the neurons' norms, and
            `r` is `sqrt(2 - 2 u_i . u_j)` of vectors shorter than 1.
            Defaults to `0.0`.
        anchors: `None`, or integer tensor or array of shape `(m,)` with
            indices of neurons: the mini-batch form, in which only the pairs
            of an anchor with another neuron count, `m(N-1)` of them (in half
            space `m(2N-1)`). An index that is repeated counts each time.
            Indices out of range raise; inside a compiled function, where
            they cannot be seen, they are moved to the nearest valid index,
            and floats, which some trainers make of labels, are cut to ints.
            Defaults to `None`.
        others: `None`, or integer tensor or array of shape `(k,)` with
            indices of neurons, for `anchors` and `groups=1`: the anchors
            meet these only, and the sum over the pairs is multiplied by
            `N / k`. If they were drawn such that each neuron is among them
            with the same probability and none twice, this is an unbiased
            estimate of the energy with all others, in value and gradient,
            and costs nothing that grows with `N` except room for the
            gradient. Indices out of range as in `anchors`. Defaults to
            `None`.
        block_size: `"auto"` or int >= 1, the edge of the square tiles in
            which the table of pairs is computed, one alive at a time (with
            groups, one of each group); with anchors the columns of a tile. It
            never changes the result beyond rounding. `"auto"` takes tables of
            up to `768**2` entries at once, that is 768 neurons, and tiles of
            `512**2` entries beyond (8,192 and 4,096 on accelerators, by their
            memory and not measured). Where the number of neurons is not known
            while tracing, the whole table is taken. Defaults to `"auto"`.

    Returns:
        Scalar float32 tensor, no unit (float64 for float64 weights). float16
        and bfloat16 weights are computed in float32. The gradient has the
        dtype of `weights`; it can be taken once, not twice.

    Raises:
        ValueError: If an argument is outside its range, if `weights` has rank
            0 or 1 or no entries, if `neuron_axis` names an axis twice or
            leaves none for the vectors, if `groups` does not divide the
            number of neurons, if `anchors` or `others` are not integers in
            range, or if `others` come without `anchors` or with groups.

    Numerics:
        For `epsilon=0` the value does not change when a neuron is multiplied
        by a positive number, and each neuron's gradient is orthogonal to it.

        - A neuron of zeros has no direction. For `epsilon=0` it is left out:
          the mean runs over the pairs of the `n` others (`n(n-1)/2`, in half
          space `n(2n-1)`), each group by itself, so a layer gains nothing by
          neurons that die. With `others`, `n` is estimated from those drawn.
          With `epsilon > 0`, where `u` is differentiable at zero, it counts
          as orthogonal to every neuron and gets a gradient.
        - A neuron that contains NaN or infinity counts as orthogonal to every
          neuron (and in half space to its opposite) and gets no gradient.
        - Nearly equal neurons count as equal: they add the energy of
          `r = 1.4e-3` (float32; 6e-8 in float64) and no gradient. They are
          those nearer than that, of more than 128 entries than 2.0e-3 (in
          float64 8e-8), of more than 4,096 than `(eps**2 * dim / 4)**(1/4)`,
          which is 2.4e-3 at 10,000 entries. In half space this includes
          opposite neurons, and the whole pair of lines adds none; in the
          angular forms opposite neurons (within the same distance) add no
          gradient.
        - One neuron alone has no pair: its energy is 0, in half space too.
        - Where a potential exceeds 1e15 (only for `power` above 5, in float64
          above 2) it is continued by its tangent. Gradients are cut at 1e30
          (float16: 65504).

        Cost: `3/4` of the time of two products of `N x dim` by `dim x N`
        matrices, and little more; memory for a few copies of `weights` and
        one tile. With anchors `O(m N dim)` time. On JAX, columns that
        `keras.distribution.ModelParallel` spreads over devices stay where
        they are, if the table has tiles, the devices divide their number
        and, without anchors, there are no groups.
        On PyTorch a table with tiles runs between two parts of a
        `torch.compile`d function, so not under `fullgraph=True`, and anchors
        given as a tensor on a GPU are read back to be checked; a list or an
        array is not. Where an accelerator rounds the factors of products
        (TF32), three products of their parts take the place of each.

    Example:
        >>> import numpy as np
        >>> from keras_mhe.ops import hyperspherical_energy
        >>> opposite = np.array([[1.0, -1.0], [0.0, 0.0]], "float32")
        >>> float(hyperspherical_energy(opposite, power=1))
        0.5

    References:
        Liu et al., "Learning towards Minimum Hyperspherical Energy", NeurIPS
        2018, arXiv:1805.09298: equation 1 (energy), section 3.3 (half
        space), 3.6 (mini-batch form). Differs: a mean instead of a sum.
    """
    form = EnergyForm(
        power, distance, half_space, neuron_axis, groups, block_size, epsilon
    )
    return energy_of(weights, form, anchors, others)


def energy_of(
    weights: Tensor,
    form: EnergyForm,
    anchors: Tensor | None = None,
    others: Tensor | None = None,
    *,
    potential: Any = None,
) -> Tensor:
    """The `hyperspherical_energy` of a form.

    Args:
        weights: As for `hyperspherical_energy`.
        form: Which energy, of which neurons. Its units are not looked at.
        anchors: As for `hyperspherical_energy`.
        others: As for `hyperspherical_energy`.
        potential: `None`, or a `Potential`, or what has its methods, in place
            of that of the form: published forms and relatives have their own.
    """
    potential = form.potential if potential is None else potential
    columns = widened(neuron_columns(float_tensor(weights), form.neuron_axis))
    num_neurons = ops.shape(columns)[1]
    check_groups(form.groups, num_neurons)
    if anchors is None and others is None:
        return mean_of_all(columns, potential, form)
    if others is not None and (anchors is None or form.groups != 1):
        raise ValueError(
            "`others` need `anchors` and `groups=1`. Received: "
            f"anchors={'None' if anchors is None else 'given'}, "
            f"groups={form.groups}."
        )
    anchors = checked_indices("anchors", anchors, num_neurons)
    if others is None:
        return mean_of_anchors(columns, potential, form, anchors)
    others = checked_indices("others", others, num_neurons)
    return mean_of_sample(columns, potential, form, anchors, others)

"""Means of a potential over pairs of neurons, with their gradients."""

from collections.abc import Callable

from keras import ops

from keras_mhe import _backend, _numerics
from keras_mhe._typing import Tensor
from keras_mhe.ops._pairs.form import EnergyForm
from keras_mhe.ops._pairs.neurons import Directions
from keras_mhe.ops._pairs.potentials import Potential
from keras_mhe.ops._pairs.sums import (
    sum_over_pairs,
    sum_over_pairs_of_anchors,
    sum_over_sample,
)
from keras_mhe.ops._pairs.tiles import choose_tile

#: Maps directions to the sum of a potential over pairs, the `tangent` of its
#: gradient, and the number of pairs.
_Sum = Callable[[Directions], tuple[Tensor, Tensor, Tensor]]


def tile_of_all(columns: Tensor, form: EnergyForm) -> int | None:
    """Edge of the tiles of the table of all pairs; `None` for one tile."""
    dim, num_neurons = ops.shape(columns)
    return choose_tile(
        form.block_size,
        num_neurons // form.groups,
        num_tables=form.groups,
        dim=dim,
        on_cpu=_backend.runs_on_cpu(columns),
    )


def _tile_of_anchors(
    columns: Tensor, form: EnergyForm, anchors: Tensor, num_columns: Tensor
) -> int | None:
    """Columns in the tiles of the table of anchors; `None` for one tile."""
    return choose_tile(
        form.block_size,
        num_columns,
        num_rows=ops.shape(anchors)[0],
        dim=ops.shape(columns)[0],
        on_cpu=_backend.runs_on_cpu(columns),
    )


def mean_of_all(
    columns: Tensor, potential: Potential, form: EnergyForm
) -> Tensor:
    """All pairs of a group."""
    tile = tile_of_all(columns, form)

    def total_of(directions: Directions) -> tuple[Tensor, Tensor, Tensor]:
        return sum_over_pairs(directions, potential, form, tile)

    return _mean(total_of, columns, form, tile)


def mean_of_anchors(
    columns: Tensor, potential: Potential, form: EnergyForm, anchors: Tensor
) -> Tensor:
    """Pairs of an anchor with another neuron of its group."""
    tile = _tile_of_anchors(columns, form, anchors, ops.shape(columns)[1])

    def total_of(directions: Directions) -> tuple[Tensor, Tensor, Tensor]:
        return sum_over_pairs_of_anchors(
            directions, potential, form, tile, anchors
        )

    return _mean(total_of, columns, form, tile)


def mean_of_sample(
    columns: Tensor,
    potential: Potential,
    form: EnergyForm,
    anchors: Tensor,
    others: Tensor,
) -> Tensor:
    """Pairs of an anchor with a neuron that was drawn for it."""
    num_neurons = ops.shape(columns)[1]
    # All that is needed of the kernel.
    drawn = _backend.take_columns(columns, ops.concatenate([anchors, others]))
    tile = _tile_of_anchors(drawn, form, anchors, ops.shape(others)[0])

    def total_of(directions: Directions) -> tuple[Tensor, Tensor, Tensor]:
        return sum_over_sample(
            directions, potential, form, tile, anchors, others, num_neurons
        )

    return _mean(total_of, drawn, form, tile)


def _mean(
    total_of: _Sum, columns: Tensor, form: EnergyForm, tile: int | None
) -> Tensor:
    """Returns a mean over pairs, with its gradient by the columns."""

    def forward(columns: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        directions = Directions.of(columns, form.epsilon)
        total, gradient, count = total_of(directions)
        by_norm = directions.inverse_norms / count

        def pull_back(upstream: Tensor) -> Tensor:
            return _backend.multiply_and_cut(
                gradient, upstream * by_norm, _numerics.LARGEST_GRADIENT
            )

        return total / count, pull_back

    if tile is None:
        return _backend.with_gradient(forward, columns)
    return _backend.without_unrolling(_backend.with_gradient, forward, columns)

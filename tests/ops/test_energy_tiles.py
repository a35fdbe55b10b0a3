"""The tiled evaluation: every tile size, and nothing of the table's size."""

import numpy as np
import pytest

from keras_mhe import MHE
from keras_mhe.ops import hyperspherical_energy
from keras_mhe.ops._pairs.tiles import choose_tile
from support import numpy_reference
from support.buffers import largest_tensor
from support.energies import assert_matches_loops, assert_same, evaluate
from support.forms import FEW_FORMS, FORMS, form_id
from support.tensors import assert_near, random_array
from support.tolerances import GRADIENT

all_forms = pytest.mark.parametrize("form", FORMS, ids=form_id)
few_forms = pytest.mark.parametrize("form", FEW_FORMS, ids=form_id)


# Which tiles.


@pytest.mark.parametrize(
    ("block_size", "num_columns", "expected"),
    [
        (8, 8, None),
        (9, 8, None),
        (8, 9, 5),
        (4, 8, 4),
        (np.int64(3), 10, 3),
        (1, 5, 1),
        ("auto", 768, None),
        ("auto", 769, 385),
        ("auto", 4096, 512),
        ("auto", 60_000, 509),
        ("auto", None, None),
    ],
)
def test_blocks_of_nearly_equal_size(block_size, num_columns, expected):
    assert choose_tile(block_size, num_columns) == expected


def test_many_tables_and_many_rows_make_the_blocks_smaller():
    def area(tile, tables, rows):
        return tile * tables * (rows or tile)

    for tables, rows in ((1, None), (4, None), (5000, None), (1, 7), (1, 900)):
        tile = choose_tile("auto", 10**6, num_tables=tables, num_rows=rows)
        # No narrower than 8 columns.
        assert tile >= 8
        assert area(tile, tables, rows) <= 512**2 or tile == 8
    larger = choose_tile("auto", 10**6, on_cpu=False)
    assert larger > choose_tile("auto", 10**6)


# Same numbers.

WEIGHTS = random_array(4, 11, seed=3)
#: What comes beside the form of the energy.
CASES = {
    "plain": {},
    "epsilon": {"epsilon": 0.01},
    "anchors": {"anchors": [3, 10, 3, 0]},
    "anchors and epsilon": {"anchors": [3, 10, 3, 0], "epsilon": 0.1},
}


@all_forms
@pytest.mark.parametrize("case", CASES)
def test_tiles_match_loops(case, form):
    form = {**form, **CASES[case]}
    evaluation = evaluate(WEIGHTS, block_size=3, **form)
    assert_matches_loops(evaluation, WEIGHTS, **form)


@few_forms
@pytest.mark.parametrize("anchors", [None, [3, 11, 3, 0, 5]])
def test_groups_in_tiles_match_loops(anchors, form):
    weights = random_array(5, 3, 4)
    form = {**form, "neuron_axis": (1, 2), "groups": 3, "anchors": anchors}
    evaluation = evaluate(weights, block_size=3, **form)
    assert_matches_loops(evaluation, weights, **form)


@pytest.mark.parametrize(
    ("num_neurons", "block_size"),
    [(5, 1), (16, 8), (17, 8), (32, 31), (33, 16), (33, 2)],
)
@pytest.mark.parametrize("dim", [6, 130])
def test_every_remainder(dim, num_neurons, block_size):
    weights = random_array(dim, num_neurons)
    tiled = evaluate(weights, block_size=block_size, half_space=True)
    assert_same(tiled, evaluate(weights, half_space=True))


@few_forms
@pytest.mark.parametrize("anchors", [None, [0, 3, 3, 9]])
def test_degenerate_neurons(form, anchors):
    weights = WEIGHTS.copy()
    weights[:, 1] = 0.0
    weights[:, 3] = weights[:, 2]
    weights[:, 4] = -weights[:, 2]
    weights[0, 5] = np.nan
    weights[:, 6] = np.inf
    weights[:, 7] *= 1e30
    weights[:, 8] *= 1e-30
    dense = evaluate(weights, anchors=anchors, **form)
    tiled = evaluate(weights, block_size=3, anchors=anchors, **form)
    np.testing.assert_allclose(tiled.value, dense.value, rtol=1e-5)
    assert not tiled.gradient[:, [1, 5, 6]].any()
    largest = np.maximum(np.abs(dense.gradient).max(axis=0), 1e-37)
    np.testing.assert_allclose(
        tiled.gradient / largest, dense.gradient / largest, atol=2e-4
    )


def test_padding_is_not_an_energy():
    # Obtuse angles only: the pairs' energies are far below that of zeros.
    angles = 2 * np.pi * np.arange(3) / 3
    weights = np.stack([np.cos(angles), np.sin(angles)]).astype("float32")
    tiled = evaluate(weights, block_size=2, power=50)
    np.testing.assert_allclose(tiled.value, 3.0**-25, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_dtypes(dtype):
    dense = evaluate(WEIGHTS, dtype=dtype)
    tiled = evaluate(WEIGHTS, dtype=dtype, block_size=3)
    assert (tiled.value_dtype, tiled.gradient_dtype) == ("float32", dtype)
    np.testing.assert_allclose(tiled.value, dense.value, rtol=1e-5)
    assert_near(tiled.gradient, dense.gradient, GRADIENT[dtype])


@pytest.mark.parametrize("half_space", [False, True])
@pytest.mark.parametrize("distance", ["euclidean", "angular"])
def test_rounding_error_is_that_of_one_tile_or_a_few_units_in_the_last_place(
    half_space, distance
):
    weights = random_array(16, 300, seed=3)
    form = {"half_space": half_space, "distance": distance}
    exact = numpy_reference.fast_energy(weights, **form)

    def error(block_size):
        value = evaluate(weights, block_size=block_size, **form).value
        return abs(value - exact) / exact

    assert error(37) <= max(error(300), 5e-7)


# Nothing as large as the table.


@few_forms
def test_no_tensor_has_the_size_of_the_table(form):
    def energy(tensor):
        return hyperspherical_energy(tensor, block_size=32, **form)

    # A tile, or the columns and their padding.
    assert largest_tensor(energy, random_array(8, 251)) <= 9 * 256


@pytest.mark.parametrize("half_space", [False, True])
def test_no_tensor_has_the_size_of_the_table_of_anchors(half_space):
    def energy(tensor):
        return hyperspherical_energy(
            tensor,
            anchors=np.arange(100) % 7,
            half_space=half_space,
            block_size=16,
        )

    assert largest_tensor(energy, random_array(8, 500)) <= 9 * 512


def test_the_regularizer_hands_its_block_size_on():
    weights = random_array(3, 3, 2, 40)
    mhe = MHE(2.0, half_space=True, block_size=8)
    assert largest_tensor(mhe, weights) < 40 * 40
    dense = MHE(2.0, half_space=True, block_size=40)
    assert largest_tensor(dense, weights) >= 40 * 40

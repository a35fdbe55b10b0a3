"""The tiled evaluation: every tile size, and nothing of the table's size."""

import numpy as np
import pytest

from keras_mhe import MHE
from keras_mhe.functional import hyperspherical_energy
from keras_mhe.functional._tiles import choose_tile
from support import numpy_reference
from support.buffers import largest_tensor
from support.forms import FEW_FORMS, FORMS, form_id
from support.gradients import FASTEST, MODES, value_and_grad
from support.tolerances import GRADIENT, VALUE

all_forms = pytest.mark.parametrize("form", FORMS, ids=form_id)
few_forms = pytest.mark.parametrize("form", FEW_FORMS, ids=form_id)


def random_weights(*shape, seed=3):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def evaluate(weights, *args, mode=FASTEST, dtype="float32", **form):
    return value_and_grad(
        lambda tensor: hyperspherical_energy(tensor, **form),
        weights,
        *args,
        mode=mode,
        dtype=dtype,
    )


def assert_same(actual, expected):
    np.testing.assert_allclose(
        actual.value, expected.value, rtol=VALUE["float32"], atol=2e-6
    )
    largest = np.abs(expected.gradient).max()
    np.testing.assert_allclose(
        actual.gradient,
        expected.gradient,
        atol=GRADIENT["float32"] * largest,
    )


def assert_tiles_change_nothing(weights, block_size, mode=FASTEST, **form):
    dense = evaluate(weights, mode=mode, block_size=10**6, **form)
    tiled = evaluate(weights, mode=mode, block_size=block_size, **form)
    assert_same(tiled, dense)


# Which tiles.


@pytest.mark.parametrize(
    ("block_size", "num_columns", "expected"),
    [
        (8, 8, None),
        (9, 8, None),
        (8, 9, 5),
        (4, 8, 4),
        (3, 10, 3),
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


@all_forms
def test_tiles_match_loops(form):
    weights = random_weights(4, 7)
    tiled = evaluate(weights, block_size=3, **form)
    np.testing.assert_allclose(
        tiled.value,
        numpy_reference.energy(weights, **form),
        rtol=VALUE["float32"],
        atol=2e-6,
    )
    expected = numpy_reference.gradient(weights, **form)
    np.testing.assert_allclose(
        tiled.gradient,
        expected,
        atol=GRADIENT["float32"] * np.abs(expected).max(),
    )


@pytest.mark.parametrize("mode", MODES)
@few_forms
def test_a_prime_number_of_neurons(form, mode):
    assert_tiles_change_nothing(random_weights(6, 53), 16, mode=mode, **form)


@pytest.mark.parametrize(
    ("num_neurons", "block_size"),
    [(5, 1), (16, 8), (17, 8), (31, 16), (32, 31), (33, 16), (33, 2)],
)
def test_every_remainder(num_neurons, block_size):
    assert_tiles_change_nothing(
        random_weights(16, num_neurons), block_size, half_space=True
    )


@few_forms
def test_epsilon(form):
    weights = random_weights(3, 11) * np.logspace(-2, 1, 11).astype("float32")
    assert_tiles_change_nothing(weights, 4, epsilon=0.01, **form)


@few_forms
def test_groups(form):
    assert_tiles_change_nothing(
        random_weights(5, 3, 7), 3, neuron_axis=(1, 2), groups=3,
        **form,
    )  # fmt: skip


@few_forms
@pytest.mark.parametrize(("groups", "epsilon"), [(1, 0.0), (2, 0.1)])
def test_repeated_anchors(form, groups, epsilon):
    assert_tiles_change_nothing(
        random_weights(4, 22), 5, anchors=[3, 21, 3, 0, 11], groups=groups,
        epsilon=epsilon, **form,
    )  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("half_space", [False, True])
def test_traced_anchors(half_space, mode):
    weights = random_weights(4, 23)
    chosen = [3, 22, 3, 0]
    traced = value_and_grad(
        lambda tensor, anchors: hyperspherical_energy(
            tensor, anchors=anchors, half_space=half_space, block_size=5
        ),
        weights,
        chosen,
        mode=mode,
    )
    known = evaluate(weights, anchors=chosen, half_space=half_space)
    assert_same(traced, known)


@few_forms
@pytest.mark.parametrize("anchors", [None, [0, 3, 3, 9]])
def test_degenerate_neurons(form, anchors):
    weights = random_weights(3, 11)
    weights[:, 1] = 0.0
    weights[:, 3] = weights[:, 2]
    weights[:, 4] = -weights[:, 2]
    weights[0, 5] = np.nan
    weights[:, 6] = np.inf
    weights[:, 7] *= 1e30
    weights[:, 8] *= 1e-30
    dense = evaluate(weights, block_size=100, anchors=anchors, **form)
    tiled = evaluate(weights, block_size=4, anchors=anchors, **form)
    np.testing.assert_allclose(tiled.value, dense.value, rtol=1e-5)
    assert not tiled.gradient[:, [1, 5, 6]].any()
    for neuron in range(11):
        np.testing.assert_allclose(
            tiled.gradient[:, neuron],
            dense.gradient[:, neuron],
            rtol=1e-4,
            atol=1e-4 * np.abs(dense.gradient[:, neuron]).max(),
        )


@pytest.mark.parametrize("power", [20, 50])
def test_padding_is_not_an_energy(power):
    # Obtuse angles only: the pairs' energies are far below that of zeros.
    angles = 2 * np.pi * np.arange(3) / 3
    weights = np.stack([np.cos(angles), np.sin(angles)]).astype("float32")
    tiled = evaluate(weights, block_size=2, power=power)
    np.testing.assert_allclose(tiled.value, 3.0 ** (-power / 2), rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_dtypes(dtype):
    weights = random_weights(4, 22)
    dense = evaluate(weights, dtype=dtype, block_size=100)
    tiled = evaluate(weights, dtype=dtype, block_size=5)
    assert (tiled.value_dtype, tiled.gradient_dtype) == ("float32", dtype)
    np.testing.assert_allclose(tiled.value, dense.value, rtol=1e-5)
    np.testing.assert_allclose(
        tiled.gradient,
        dense.gradient,
        atol=GRADIENT[dtype] * np.abs(dense.gradient).max(),
    )


@pytest.mark.parametrize("half_space", [False, True])
@pytest.mark.parametrize("distance", ["euclidean", "angular"])
def test_rounding_error_is_that_of_one_tile_or_a_few_units_in_the_last_place(
    half_space, distance
):
    weights = random_weights(16, 300)
    form = {"half_space": half_space, "distance": distance}
    exact = numpy_reference.fast_energy(weights, **form)

    def error(block_size):
        value = evaluate(weights, block_size=block_size, **form).value
        return abs(value - exact) / exact

    # Both are a few units in the last place.
    assert error(37) <= max(error(300), 5e-7)


def test_the_regularizer_hands_its_block_size_on():
    weights = random_weights(3, 3, 2, 40)
    mhe = MHE(2.0, half_space=True, block_size=8)
    assert largest_tensor(mhe, weights) < 40 * 40
    dense = MHE(2.0, half_space=True, block_size=40)
    assert largest_tensor(dense, weights) >= 40 * 40


# Nothing as large as the table.


@few_forms
@pytest.mark.parametrize("num_neurons", [256, 251])
def test_no_tensor_has_the_size_of_the_table(form, num_neurons):
    weights = random_weights(8, num_neurons)

    def energy(tensor):
        return hyperspherical_energy(tensor, block_size=32, **form)

    # A tile, or the columns and their padding.
    assert largest_tensor(energy, weights) <= 9 * 256


@pytest.mark.parametrize("half_space", [False, True])
def test_no_tensor_has_the_size_of_the_table_of_anchors(half_space):
    def energy(tensor):
        return hyperspherical_energy(
            tensor,
            anchors=np.arange(100) % 7,
            half_space=half_space,
            block_size=16,
        )

    assert largest_tensor(energy, random_weights(8, 500)) <= 9 * 512


def test_dense_is_seen_to_have_one():
    def energy(tensor):
        return hyperspherical_energy(tensor, block_size=256)

    assert largest_tensor(energy, random_weights(8, 256)) >= 256 * 256

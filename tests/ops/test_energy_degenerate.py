"""Degenerate weights: always a finite value and gradient, as documented."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.energies import evaluate
from support.forms import FEW_FORMS, form_id
from support.gradients import MODES
from support.tensors import random_array

few_forms = pytest.mark.parametrize("form", FEW_FORMS, ids=form_id)
all_modes = pytest.mark.parametrize("mode", MODES)

#: `(dim, num_neurons)`: few, since each is compiled anew on JAX.
SHAPES = ((1, 3), (4, 1), (4, 6))

#: What one neuron of a pathological kernel may look like, made of a random
#: one and the first neuron of the kernel.
KINDS = {
    "random": lambda row, first: row,
    "zero": lambda row, first: 0.0 * row,
    "subnormal": lambda row, first: 1e-41 * row,
    "first": lambda row, first: first,
    "opposite of first": lambda row, first: -first,
    "nearly first": lambda row, first: first * (1.0 + 1e-6 * row),
    "one entry": lambda row, first: row * (np.arange(row.size) == 0),
    "nan": lambda row, first: math.nan * row,
    "infinite": lambda row, first: -math.inf * np.ones_like(row),
    "one nan": lambda row, first: np.append(math.nan, row[1:]),
    "one infinite": lambda row, first: np.append(row[:-1], math.inf),
}


@st.composite
def pathological_weights(draw, shapes=SHAPES):
    """Kernels of any mixture of `KINDS`, norms over 76 orders of magnitude."""
    dim, num_neurons = draw(st.sampled_from(shapes))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    first = rng.normal(size=dim)
    columns = []
    for _ in range(num_neurons):
        kind = KINDS[draw(st.sampled_from(list(KINDS)))]
        row = kind(rng.normal(size=dim), first)
        columns.append(row * 10.0 ** draw(st.integers(-38, 37)))
    with np.errstate(over="ignore", under="ignore"):
        return np.stack(columns, axis=1).astype("float32")


forms = st.fixed_dictionaries(
    {
        "power": st.sampled_from((0, 0.5, 1, 2, 3.7, 12.0, 50, 1000)),
        "distance": st.sampled_from(("euclidean", "angular")),
        "half_space": st.booleans(),
        "epsilon": st.sampled_from((0.0, 0.0, 1e-4, 1e30, 1e-40)),
    }
)


def assert_finite(evaluation):
    assert math.isfinite(evaluation.value)
    assert np.isfinite(evaluation.gradient).all()


# Eager, since each form would be compiled for few kernels.


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_always_finite(dtype):
    @given(weights=pathological_weights(), form=forms)
    def check(weights, form):
        evaluation = evaluate(weights, mode="eager", dtype=dtype, **form)
        assert_finite(evaluation)
        assert evaluation.gradient_dtype == dtype
        unusable = ~np.isfinite(weights).all(0)
        if form["epsilon"] == 0.0:
            unusable |= (weights == 0).all(0)
        assert not evaluation.gradient[:, unusable].any()

    check()


@given(weights=pathological_weights(((4, 6),)), form=forms, data=st.data())
def test_always_finite_with_anchors_and_groups(weights, form, data):
    form["groups"] = data.draw(st.sampled_from((1, 2, 6)))
    anchors = data.draw(st.lists(st.integers(0, 5), min_size=3, max_size=3))
    for form["anchors"] in (None, anchors):
        assert_finite(evaluate(weights, mode="eager", **form))


@pytest.mark.parametrize("mode", [m for m in MODES if m != "eager"] or MODES)
@pytest.mark.parametrize("distance", ["euclidean", "angular"])
def test_always_finite_compiled(mode, distance):
    # Compiled once, for one shape.
    @given(weights=pathological_weights(((4, 6),)))
    def check(weights):
        assert_finite(
            evaluate(weights, mode=mode, distance=distance, half_space=True)
        )

    check()


def example(*columns):
    return np.array(columns, dtype="float32").T


# The documented decisions.


@all_modes
@few_forms
@pytest.mark.parametrize(
    "bad",
    [[math.nan, 1.0, 0.0], [math.inf, 0.0, 1.0], [1.0, -math.inf, 0.0]],
    ids=str,
)
def test_neuron_that_is_not_finite_counts_as_orthogonal(form, bad, mode):
    pair = [[1.0, 2.0, 0.0], [-3.0, 1.0, 0.0]]
    actual = evaluate(example(*pair, bad), mode=mode, **form)
    orthogonal = evaluate(example(*pair, [0.0, 0.0, 1.0]), mode=mode, **form)
    expected = orthogonal.value
    if form["half_space"]:
        # Orthogonal to its own opposite too: 1 of the 15 pairs.
        full = {**form, "half_space": False}
        right = evaluate(example([1.0, 0.0], [0.0, 1.0]), **full).value
        straight = evaluate(example([1.0, 0.0], [-1.0, 0.0]), **full).value
        expected += (right - straight) / 15
    np.testing.assert_allclose(actual.value, expected, rtol=1e-5, atol=1e-6)
    assert not actual.gradient[:, 2].any()
    # It exerts none: only the pair repels each other, in its own plane.
    np.testing.assert_allclose(
        actual.gradient[:2, :2], orthogonal.gradient[:2, :2], atol=1e-6
    )
    assert not actual.gradient[2].any()
    assert np.abs(actual.gradient[:, 0]).max() > 1e-4


@all_modes
@few_forms
def test_equal_neurons_have_the_energy_of_the_resolution(form, mode):
    # 16 machine epsilons of `r**2`; the documentation says r = 1.4e-3.
    resolution = math.sqrt(16 * np.finfo("float32").eps)
    assert round(resolution, 4) == 1.4e-3
    actual = evaluate(example([1.0, 2.0], [1.0, 2.0]), mode=mode, **form)
    power = form["power"]

    def pair(separation):
        return -math.log(separation) if power == 0 else separation**-power

    expected = pair(resolution)
    if form["half_space"]:
        # u, u, -u, -u: two equal pairs, four opposite ones.
        straight = 2.0 if form["distance"] == "euclidean" else math.pi
        expected = (2 * expected + 4 * pair(straight)) / 6
    np.testing.assert_allclose(actual.value, expected, rtol=2e-4)
    # Rounding of the opposites' radial part, far below the weights' digits.
    np.testing.assert_allclose(actual.gradient, 0.0, atol=1e-15)


@all_modes
@few_forms
def test_opposite_neurons_are_balanced(form, mode):
    actual = evaluate(example([1.0, 2.0], [-1.0, -2.0]), mode=mode, **form)
    assert math.isfinite(actual.value)
    np.testing.assert_allclose(actual.gradient, 0.0, atol=1e-6)


@few_forms
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"epsilon": 1e-4},
        {"groups": 1, "anchors": [0]},
        {"groups": 4},
        {"groups": 4, "anchors": [2, 2, 1]},
    ],
    ids=str,
)
def test_a_neuron_alone_has_no_energy(form, options):
    weights = random_array(3, options.get("groups", 1))
    actual = evaluate(weights, **options, **form)
    assert actual.value == 0.0
    assert not actual.gradient.any()


@few_forms
def test_one_dimension(form):
    actual = evaluate(np.array([[1.0, -2.0, 3.0, 0.0]]), **form)
    assert_finite(actual)
    assert not actual.gradient.any()


@all_modes
@pytest.mark.parametrize("distance", ["euclidean", "angular"])
@pytest.mark.parametrize("half_space", [False, True])
@pytest.mark.parametrize("power", [50, 1000])
def test_high_powers_still_push_the_nearest_pair_apart(
    power, half_space, distance, mode
):
    weights = random_array(8, 5, seed=5)
    weights[:, 3] = weights[:, 1] + 0.05 * weights[:, 0]
    form = {"power": power, "half_space": half_space, "distance": distance}
    actual = evaluate(weights, mode=mode, **form)
    assert_finite(actual)
    assert actual.value > 0
    lengths = np.linalg.norm(actual.gradient, axis=0)
    assert lengths[[1, 3]].min() > 1e3
    step = weights - actual.gradient * (1e-2 / lengths.max())

    def cosine(kernel):
        units = kernel / np.linalg.norm(kernel, axis=0)
        return float(units[:, 1] @ units[:, 3])

    assert cosine(step) < cosine(weights)


@pytest.mark.parametrize(
    ("dtype", "tiny"),
    [("float32", 1e-35), ("bfloat16", 1e-35), ("float16", 1e-7)],
)
def test_gradients_of_tiny_neurons_are_cut_to_their_dtype(dtype, tiny):
    # 1 / |w| is beyond float16 there; in float32 the cut is at 1e30.
    weights = tiny * example([1.0, 0.0], [0.6, 0.8])
    actual = evaluate(weights, dtype=dtype)
    assert_finite(actual)
    assert np.abs(actual.gradient).max() > 6e4


@all_modes
@pytest.mark.parametrize("epsilon", [0.0, 1e-4])
def test_largest_numbers_have_directions(epsilon, mode):
    weights = np.random.default_rng(5).uniform(0.1, 1.0, (3, 4))
    # The inverse of these is not a normal number.
    largest = float(np.finfo("float32").max)
    huge = evaluate(
        weights / weights.max() * largest, mode=mode, epsilon=epsilon
    )
    expected = evaluate(weights * 1e20, mode=mode, epsilon=epsilon)
    np.testing.assert_allclose(huge.value, expected.value, rtol=1e-5)
    assert np.isfinite(huge.gradient).all()

"""The gap of a kernel: its levels, its gradient, dead neurons, anchors."""

import numpy as np
import pytest
from keras import ops

from keras_mhe import analysis
from keras_mhe.ops import hyperspherical_energy, hyperspherical_gap
from support import numpy_reference
from support.gradients import MODES, value_and_grad
from support.tensors import as_float

RNG = np.random.default_rng(0)
FORMS = [
    {},
    {"half_space": True},
    {"power": 0, "half_space": True},
    {"power": 1.5},
    {"power": 1, "distance": "angular", "half_space": True},
]
each_form = pytest.mark.parametrize("form", FORMS, ids=str)


def kernel_of(dim, num_neurons):
    return RNG.normal(size=(dim, num_neurons)).astype("float32")


def expected_gap(weights, form, energy=None):
    """The gap by float64 numbers of the analysis."""
    if energy is None:
        energy = numpy_reference.fast_energy(weights, **form)
    dim, num_neurons = weights.shape
    return analysis.energy_gap(energy, num_neurons, dim, **form)


@each_form
@pytest.mark.parametrize("num_neurons", [2, 5, 10, 16])
def test_values(form, num_neurons):
    """In five dimensions: a cross-polytope's number, and more than fit."""
    weights = kernel_of(5, num_neurons)
    found = as_float(hyperspherical_gap(weights, **form))
    assert found == pytest.approx(expected_gap(weights, form), rel=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_gradient_is_that_of_the_energy_times_a_constant(mode):
    form = {"half_space": True, "groups": 2}
    weights = kernel_of(6, 8)
    gap, energy = (
        value_and_grad(lambda w, f=f: f(w, **form), weights, mode=mode)
        for f in (hyperspherical_gap, hyperspherical_energy)
    )
    levels = [
        level(4, 6, half_space=True)
        for level in (analysis.random_energy, analysis.minimum_energy)
    ]
    excess = levels[0] - levels[1]
    assert gap.value == pytest.approx(
        (energy.value - levels[1]) / excess, rel=1e-4
    )
    np.testing.assert_allclose(
        gap.gradient, energy.gradient / excess, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("half_space", [False, True])
def test_wide_layers_keep_their_digits(half_space):
    weights = kernel_of(25_088, 32)
    form = {"half_space": half_space}
    found = as_float(hyperspherical_gap(weights, **form))
    assert found == pytest.approx(expected_gap(weights, form), rel=1e-3)


def test_optima_have_no_gap():
    axes = np.eye(4, dtype="float32")
    simplex = np.eye(5) - 0.2
    for weights, form in (
        (axes, {"half_space": True}),
        (np.concatenate([axes, -axes], axis=1), {"power": 1}),
        (np.linalg.svd(simplex)[2][:4], {}),
    ):
        gap = value_and_grad(
            lambda w, form=form: hyperspherical_gap(w, **form), weights
        )
        assert abs(gap.value) < 1e-5
        np.testing.assert_allclose(gap.gradient, 0.0, atol=1e-5)


@each_form
def test_levels_are_those_of_the_living(form):
    weights = kernel_of(6, 8)
    weights[:, [1, 4]] = 0.0
    living = np.delete(weights, [1, 4], axis=1)
    gap = as_float(hyperspherical_gap(weights, **form))
    assert gap == pytest.approx(expected_gap(living, form), rel=1e-4)


@pytest.mark.parametrize("living", [0, 1])
@pytest.mark.parametrize("groups", [1, 2])
def test_no_pair_has_no_gap(living, groups):
    weights = np.zeros((5, 4), "float32")
    weights[:, :living] = 1.0
    found = value_and_grad(
        lambda w: hyperspherical_gap(w, groups=groups), weights
    )
    assert found.value == 0.0
    assert not found.gradient.any()


def test_anchors_have_the_levels_of_all():
    weights = kernel_of(6, 12)
    weights[:, 7] = 0.0
    pairs = {"anchors": [0, 3, 3]}
    energy = as_float(hyperspherical_energy(weights, **pairs))
    gap = as_float(hyperspherical_gap(weights, **pairs))
    expected = analysis.energy_gap(energy, 11, 6)
    assert gap == pytest.approx(expected, rel=1e-4)


def test_drawn_neurons_are_right_in_expectation():
    weights, anchors = kernel_of(6, 12), [0, 3, 3]
    drawn = [
        as_float(hyperspherical_gap(weights, anchors=anchors, others=others))
        for others in [(np.arange(4) * 3 + k) % 12 for k in range(12)]
    ]
    expected = as_float(hyperspherical_gap(weights, anchors=anchors))
    assert np.mean(drawn) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    weights = ops.cast(kernel_of(6, 8), dtype)
    rounded = ops.convert_to_numpy(ops.cast(weights, "float32"))
    assert as_float(hyperspherical_gap(weights)) == pytest.approx(
        expected_gap(rounded, {}), rel=1e-4
    )


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"distance": "angular"}, "proven minimum, and angles in full space"),
        ({"power": 4}, "`power` below 4, .* Received: power=4.0, dimension 5"),
    ],
)
def test_what_has_no_gap(form, message):
    with pytest.raises(ValueError, match=message):
        hyperspherical_gap(kernel_of(5, 6), **form)

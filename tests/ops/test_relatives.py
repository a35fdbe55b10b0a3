"""Relatives of the energy against NumPy: values, gradients, edges."""

import functools

import numpy as np
import pytest
from keras import ops

from keras_mhe.ops import (
    compressive_energy,
    covering,
    gram_log_determinant,
    hyperspherical_gap,
    koleo,
    minimal_angles,
    polarization,
    separation,
    uniformity,
)
from support import numpy_relatives as numpy_forms
from support.gradients import ALL_MODES, MODES, value_and_grad
from support.near_pairs import kernel_with_pair

RNG = np.random.default_rng(0)
WHICH = [
    {},
    {"half_space": True},
    {"groups": 3},
    {"neuron_axis": 0},
    {"neuron_axis": (0, 2), "groups": 2, "half_space": True},
]
each_which = pytest.mark.parametrize("which", WHICH, ids=str)
FORMS = [
    (uniformity, {}),
    (uniformity, {"precision": 5.0, "block_size": 3}),
    (separation, {}),
    (separation, {"per_neuron": False, "block_size": 2}),
    (minimal_angles, {"block_size": 4}),
    (koleo, {}),
    (gram_log_determinant, {}),
    (gram_log_determinant, {"precision": 3.0, "epsilon": 1e-3}),
]


def kernel_of(shape=(4, 3, 6), dtype="float32"):
    return np.random.default_rng(1).normal(size=shape).astype(dtype)


def difference(function, kernel, direction, shift=1e-6):
    ends = [
        function(kernel.astype("float64") + sign * shift * direction)
        for sign in (1.0, -1.0)
    ]
    return (ends[0] - ends[1]) / (2.0 * shift)


@each_which
@pytest.mark.parametrize(
    ("function", "options"), FORMS, ids=lambda value: getattr(
        value, "__name__", str(value)
    )
)  # fmt: skip
@pytest.mark.parametrize("mode", MODES)
def test_values_and_gradients(function, options, which, mode):
    kernel = kernel_of()
    named = {k: v for k, v in options.items() if k != "block_size"}

    def reference(weights):
        form = getattr(numpy_forms, function.__name__)
        return form(weights, **named, **which)

    found = value_and_grad(
        lambda tensor: function(tensor, **options, **which), kernel, mode=mode
    )
    assert found.value == pytest.approx(reference(kernel), rel=1e-4, abs=1e-5)
    scale = np.abs(found.gradient).max()
    for _ in range(3):
        direction = RNG.normal(size=kernel.shape)
        expected = difference(reference, kernel, direction)
        slope = np.sum(found.gradient * direction)
        np.testing.assert_allclose(slope, expected, atol=1e-2 * scale)


ALL = [
    uniformity,
    separation,
    minimal_angles,
    koleo,
    gram_log_determinant,
    polarization,
    covering,
    *(
        functools.partial(
            compressive_energy, dim=2, num_projections=2, projection=kind
        )
        for kind in ("random", "adversarial", "angle_preserving")
    ),
]

#: Means over groups; the others are the energy's, of all pairs.
BY_GROUP = [
    separation,
    minimal_angles,
    koleo,
    gram_log_determinant,
    polarization,
    covering,
]


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize(
    "kernel",
    [
        np.zeros((4, 5)),
        np.ones((4, 5)),
        np.concatenate([np.eye(4), -np.eye(4)], axis=1),
        np.eye(4, 1),
        1e30 * kernel_of((4, 5)),
        1e-30 * kernel_of((4, 5)),
        np.where(np.eye(4, 5) > 0, np.nan, kernel_of((4, 5))),
    ],
    ids=["zero", "equal", "opposite", "one", "huge", "tiny", "nan"],
)
def test_degenerate_kernels_are_finite(function, kernel):
    found = value_and_grad(function, kernel.astype("float32"))
    assert np.isfinite(found.value)
    assert np.isfinite(found.gradient).all()


@pytest.mark.parametrize("function", BY_GROUP)
@pytest.mark.parametrize("half_space", [False, True])
def test_dead_neurons_are_left_out(function, half_space):
    # Groups of four and three living ones, and a group of dead ones.
    kernel = kernel_of((3, 7))
    zeros = np.zeros((3, 1), "float32")
    groups = [kernel[:, :4], kernel[:, 4:], zeros, np.repeat(zeros, 4, 1)]

    def term(tensor, groups=1):
        return function(tensor, half_space=half_space, groups=groups)

    dead = value_and_grad(
        lambda tensor: term(tensor, 3), np.concatenate(groups, axis=1)
    )
    assert not np.any(dead.gradient[:, 7:])
    # The mean over the groups, as of each alone.
    living = [value_and_grad(term, part) for part in groups[:2]]
    assert dead.value == pytest.approx(
        np.mean([part.value for part in living]), rel=1e-5
    )
    np.testing.assert_allclose(
        dead.gradient[:, :7],
        np.concatenate([part.gradient for part in living], axis=1) / 2,
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("noise", [0.0, 1e-6])
def test_equal_neurons_of_wide_kernels_have_no_gradient(function, noise):
    kernel = 1.0 + noise * RNG.normal(size=(576, 4))
    found = value_and_grad(function, kernel)
    scale = value_and_grad(function, kernel_of((576, 4))).gradient
    # Those of random neurons of the same length.
    scale = np.abs(scale).max()
    assert np.isfinite(found.value)
    assert np.abs(found.gradient).max() < 1e-2 * scale


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("size", [2.0**-100, 2.0**100, 2.0**124])
def test_norms_do_not_matter(function, size):
    """By powers of two, which change no direction by rounding."""
    kernel = kernel_of((4, 5))
    unscaled = value_and_grad(function, kernel)
    scaled = value_and_grad(function, (size * kernel).astype("float32"))
    assert scaled.value == pytest.approx(unscaled.value, rel=1e-5)


#: What compiles, beyond `MODES` where those have nothing.
COMPILED = [mode for mode in ("xla", "aot") if mode in ALL_MODES]


#: What others of them compile too.
COMPILED_LIKE_OTHERS = [minimal_angles, koleo, polarization, ALL[-3], ALL[-1]]


@pytest.mark.parametrize("mode", COMPILED)
@pytest.mark.parametrize(
    "function",
    [
        pytest.param(one, marks=[pytest.mark.slow])
        if one in COMPILED_LIKE_OTHERS
        else one
        for one in ALL
    ],
)
def test_compiled(function, mode):
    kernel = kernel_of((4, 5))
    eager = value_and_grad(function, kernel)
    found = value_and_grad(function, kernel, mode=mode)
    assert found.value == pytest.approx(eager.value, rel=1e-4)
    # Where a search ends depends on rounding.
    is_search = function in (polarization, covering)
    np.testing.assert_allclose(
        found.gradient,
        eager.gradient,
        atol=(1e-2 if is_search else 1e-3) * np.abs(eager.gradient).max(),
    )


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(function, dtype):
    kernel = kernel_of((4, 5))
    found = value_and_grad(function, kernel, dtype=dtype)
    assert found.value_dtype == "float32"
    assert found.gradient_dtype == dtype
    rounded = ops.convert_to_numpy(ops.cast(ops.cast(kernel, dtype), "float32"))
    exact = value_and_grad(function, rounded)
    assert found.value == pytest.approx(exact.value, rel=1e-5)


def gap_of_uniformity(kernel, lowest, half_space=False, precision=2.0):
    """By float64 loops, with the level of random pairs by quadrature."""
    (dim, size), angles = kernel.shape, np.linspace(0.0, np.pi, 20_001)
    weights = np.sin(angles) ** (dim - 2)
    potential = np.exp(2.0 * precision * (np.cos(angles) - 1.0))
    random = np.sum(weights * potential) / np.sum(weights)
    if half_space:
        own = np.exp(-4.0 * precision)
        random = (2 * (size - 1) * random + own) / (2 * size - 1)
    which = {"half_space": half_space, "precision": precision}
    energy, lowest = (
        numpy_forms.uniformity(one, **which) for one in (kernel, lowest)
    )
    return (energy - lowest) / (np.log(random) - lowest)


@pytest.mark.parametrize(
    ("lowest", "options"),
    [
        (np.eye(5) - 0.2, {"precision": 20.0}),
        (np.concatenate([np.eye(3), -np.eye(3)], 1), {}),
        (np.eye(9, 7), {"half_space": True, "precision": 0.5}),
        (np.eye(2500, 32), {"half_space": True}),
    ],
    ids=["simplex", "cross-polytope", "lines", "wide"],
)
def test_uniformity_in_units_of_the_gap(lowest, options):
    # Two groups, with dead neurons: the levels are those of the living.
    both = [kernel_of(lowest.shape), kernel_of(lowest.shape)[:, ::-1]]
    dead = np.zeros((len(lowest), 2))
    kernel = np.concatenate([both[0], dead, both[1], dead], axis=1)
    options = {**options, "groups": 2}
    gap, energy = (
        value_and_grad(
            functools.partial(uniformity, units=units, **options), kernel
        )
        for units in ("gap", "energy")
    )
    del options["groups"]
    expected = gap_of_uniformity(both[0], lowest, **options)
    assert gap.value == pytest.approx(expected, rel=1e-3)
    slope = np.max(gap.gradient) / np.max(energy.gradient)
    np.testing.assert_allclose(
        gap.gradient, slope * energy.gradient, atol=1e-5 * slope
    )
    optimum = uniformity(lowest.astype("float32"), units="gap", **options)
    assert float(optimum) == pytest.approx(0.0, abs=3e-4)
    assert float(uniformity(dead, units="gap")) == 0.0
    with pytest.raises(ValueError, match="neurons of two entries or more"):
        uniformity(kernel[:1], units="gap")


def test_compressive_energy_in_units_of_the_gap():
    options = {"units": "gap", "half_space": True}
    # What is not projected has the gap of the kernel.
    kernel = kernel_of((9, 5))
    gap = compressive_energy(kernel, dim=9, **options)
    assert float(gap) == float(hyperspherical_gap(kernel, half_space=True))
    # Random projections make random directions of orthogonal neurons.
    gap = compressive_energy(np.eye(60, 50), num_projections=99, **options)
    assert float(gap) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("mode", [*MODES, *COMPILED])
@pytest.mark.parametrize("half_space", [False, True])
def test_nearest_neurons_of_wide_kernels(half_space, mode):
    """In tiles, with pairs at 0.01, dead neurons, and angles near 0 and pi."""
    near = kernel_with_pair(300, 40, 0.01)
    kernel = np.concatenate([near, np.zeros((300, 3))], axis=1)
    found = value_and_grad(
        lambda tensor: koleo(tensor, half_space=half_space, block_size=16),
        kernel,
        mode=mode,
    )
    expected = numpy_forms.koleo(near.astype("float32"), half_space=half_space)
    assert found.value == pytest.approx(expected, rel=1e-5)
    assert not np.any(found.gradient[:, 40:])
    # Each of two neurons is the other's nearest: their gradient is 2 / (N r).
    norms = np.linalg.norm(
        found.gradient * np.linalg.norm(kernel, axis=0), axis=0
    )
    assert np.sort(norms)[-2:] == pytest.approx(2 / (40 * 0.01), rel=0.05)


def test_angles_have_all_digits_near_their_ends():
    for angle in (0.01, np.pi - 0.01):
        pair = np.array([[1.0, np.cos(angle)], [0.0, np.sin(angle)]])
        found = value_and_grad(minimal_angles, pair)
        assert found.value == pytest.approx(angle, rel=1e-5)
        slopes = np.linalg.norm(found.gradient, axis=0)
        np.testing.assert_allclose(slopes, 1.0, rtol=1e-2)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (uniformity, {"precision": 21}, "`precision` must be a real number in"),
        (separation, {"per_neuron": 1}, "`per_neuron` must be True or False"),
        (gram_log_determinant, {"epsilon": 0}, "`epsilon` must be a finite"),
        (polarization, {"starts": 0}, "`starts` must be an integer >= 1"),
        (polarization, {"power": -1}, "`power` must be a finite real"),
        (covering, {"precision": 0}, "`precision` must be a real number in"),
        (covering, {"neuron_axis": 2}, "`neuron_axis` must be in"),
        (compressive_energy, {"dim": 1}, "`dim` must be an integer >= 2"),
        (compressive_energy, {"projection": "pca"}, "`projection` must be one"),
        (compressive_energy, {"seed": -1}, "`seed` must be an integer >= 0"),
    ],
)
def test_wrong_arguments(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(kernel_of((4, 6)), **arguments)

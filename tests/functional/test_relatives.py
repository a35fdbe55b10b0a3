"""Relatives of the energy against NumPy: values, gradients, edges."""

import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import (
    compressive_energy,
    covering,
    gram_log_determinant,
    hyperspherical_energy,
    polarization,
    separation,
    uniformity,
)
from keras_mhe.functional._projections import drawn_projections
from support import numpy_relatives as numpy_forms
from support.gradients import ALL_MODES, FASTEST, MODES, value_and_grad
from support.tensors import as_float

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
    (separation, {"per_neuron": False}),
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


HOLES = [
    (polarization, {"power": 2, "distance": "euclidean"}),
    (polarization, {"power": 0, "distance": "angular"}),
    (covering, {"precision": 10.0}),
]


@pytest.mark.parametrize("half_space", [False, True])
@pytest.mark.parametrize(("function", "options"), HOLES, ids=str)
def test_holes_are_those_of_a_fine_search(function, options, half_space):
    kernel = kernel_of((3, 14))
    form = {**options, "half_space": half_space}
    of_places = (
        numpy_forms.mean_potentials
        if function is polarization
        else numpy_forms.soft_distances
    )
    # Points on a spiral, about a degree apart.
    height = np.linspace(-1.0, 1.0, 40_000)
    turn = np.arange(len(height)) * np.pi * (3.0 - np.sqrt(5.0))
    radius = np.sqrt(1.0 - height**2)
    places = np.stack([radius * np.cos(turn), radius * np.sin(turn), height])
    values = of_places(places.T, kernel, **form)
    expected = values.min() if function is polarization else values.max()
    found = as_float(function(kernel, steps=60, starts=32, **form))
    assert found == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("which", [{}, {"half_space": True}, {"groups": 2}])
@pytest.mark.parametrize(("function", "options"), HOLES, ids=str)
def test_gradients_at_the_holes(function, options, which):
    # At the hole that was found the gradient is that of the hole itself.
    kernel = kernel_of((3, 14))
    search = {"steps": 60, "starts": 32, **options, **which}
    found = value_and_grad(
        lambda tensor: function(tensor, **search), kernel, mode=FASTEST
    )
    for _ in range(3):
        direction = RNG.normal(size=kernel.shape)
        direction /= np.linalg.norm(direction)
        moved = [
            as_float(
                function(
                    (kernel + shift * direction).astype("float32"), **search
                )
            )
            for shift in (3e-3, -3e-3)
        ]
        np.testing.assert_allclose(
            np.sum(found.gradient * direction),
            (moved[0] - moved[1]) / 6e-3,
            atol=0.03 * np.linalg.norm(found.gradient),
        )
    # Lengths do not matter.
    along = np.sum(found.gradient * kernel, axis=0)
    np.testing.assert_allclose(along, 0.0, atol=1e-5)


def test_half_space_with_few_neurons_has_nothing_to_polarize():
    kernel = kernel_of((8, 4))
    search = {"half_space": True, "steps": 200, "starts": 64}
    value = as_float(polarization(kernel, **search))
    assert value == pytest.approx(0.5, rel=1e-2)
    assert as_float(covering(kernel, **search)) == pytest.approx(2.0, rel=1e-2)


@pytest.mark.parametrize("half_space", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_compressive_energy_is_the_mean_over_projections(half_space, groups):
    kernel = kernel_of((5, 8, 6))
    form = {"half_space": half_space, "power": 1, "groups": groups}
    options = {"dim": 7, "num_projections": 3, "seed": 4, "draw": 2}
    projections = drawn_projections(4, 2, 3, 7, 40)
    matrix = kernel.reshape(40, 6)
    expected = np.mean(
        [as_float(hyperspherical_energy(p @ matrix, **form))
         for p in projections]
    )  # fmt: skip
    found = value_and_grad(
        lambda tensor: compressive_energy(tensor, **options, **form), kernel
    )
    assert found.value == pytest.approx(expected, rel=1e-5)
    by_matrix = np.mean(
        [
            p.T
            @ value_and_grad(
                lambda tensor: hyperspherical_energy(tensor, **form),
                p @ matrix,
            ).gradient
            for p in projections
        ],
        axis=0,
    )
    scale = np.abs(by_matrix).max()
    np.testing.assert_allclose(
        found.gradient.reshape(40, 6), by_matrix, atol=1e-4 * scale
    )


def test_projections_are_a_function_of_seed_and_draw():
    one = drawn_projections(1, 0, 2, 3, 50)
    assert one is drawn_projections(1, 0, 2, 3, 50)
    for other in (
        drawn_projections(2, 0, 2, 3, 50),
        drawn_projections(1, 1, 2, 3, 50),
    ):
        assert not np.allclose(one, other)
    assert one.std() == pytest.approx(1.0, abs=0.1)
    with pytest.raises(ValueError, match="read-only"):
        one[0, 0, 0] = 1.0


def test_moved_projections_do_what_they_are_for():
    kernel = kernel_of((60, 10))
    options = {"dim": 6, "num_projections": 2, "half_space": False}
    plain = as_float(compressive_energy(kernel, **options))
    energies = [
        as_float(
            compressive_energy(
                kernel, projection="adversarial", steps=n, rate=0.05, **options
            )
        )
        for n in (0, 2, 6)
    ]
    assert energies[0] == pytest.approx(plain, rel=1e-6)
    assert energies[0] < energies[1] < energies[2]
    # Cosines of six dimensions come nearer to those of sixty.
    full = as_float(hyperspherical_energy(kernel))
    preserving = [
        as_float(
            compressive_energy(
                kernel, projection="angle_preserving", steps=n, **options
            )
        )
        for n in (0, 5, 40)
    ]
    errors = np.abs(np.array(preserving) - full)
    assert errors[2] < errors[1] < errors[0]


def test_neurons_that_are_short_enough_are_not_projected():
    kernel = kernel_of((5, 6))
    assert as_float(compressive_energy(kernel, dim=5)) == pytest.approx(
        as_float(hyperspherical_energy(kernel, half_space=True)), rel=1e-6
    )


ALL = [
    uniformity,
    separation,
    gram_log_determinant,
    polarization,
    covering,
    lambda w: compressive_energy(w, dim=2, num_projections=2),
    lambda w: compressive_energy(
        w, dim=2, num_projections=2, projection="adversarial"
    ),
    lambda w: compressive_energy(
        w, dim=2, num_projections=2, projection="angle_preserving"
    ),
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


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("size", [1e-30, 1e30, 5e37])
def test_norms_do_not_matter(function, size):
    kernel = kernel_of((4, 5))
    unscaled = value_and_grad(function, kernel)
    scaled = value_and_grad(function, (size * kernel).astype("float32"))
    assert scaled.value == pytest.approx(unscaled.value, rel=1e-5)


@pytest.mark.parametrize("kind", ["adversarial", "angle_preserving"])
@pytest.mark.parametrize("half_space", [False, True])
def test_equal_neurons_leave_projections_finite(kind, half_space):
    kernel = np.ones((576, 8), "float32")
    options = {"num_projections": 2, "half_space": half_space}
    plain = as_float(compressive_energy(kernel, **options))
    moved = as_float(compressive_energy(kernel, projection=kind, **options))
    assert moved == pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize("kind", ["adversarial", "angle_preserving"])
def test_groups_do_not_see_each_other(kind):
    # The second group is that of another kernel: the first does not move.
    options = {
        "projection": kind, "dim": 3, "num_projections": 1, "steps": 1,
        "rate": 1e-6,
    }  # fmt: skip
    kernel = kernel_of((9, 8))
    both = as_float(compressive_energy(kernel, groups=2, **options))
    halves = [
        as_float(compressive_energy(part, **options))
        for part in np.split(kernel, 2, axis=1)
    ]
    assert both == pytest.approx(np.mean(halves), rel=1e-3)


#: What compiles, beyond `MODES` where those have nothing.
COMPILED = [mode for mode in ("xla", "aot") if mode in ALL_MODES]


@pytest.mark.parametrize("mode", COMPILED)
@pytest.mark.parametrize("function", ALL)
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


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (uniformity, {"precision": 21}, "`precision` must be a real number in"),
        (uniformity, {"groups": 4}, "`groups` must divide"),
        (separation, {"per_neuron": 1}, "`per_neuron` must be True or False"),
        (gram_log_determinant, {"epsilon": 0}, "`epsilon` must be a finite"),
        (polarization, {"starts": 0}, "`starts` must be an integer >= 1"),
        (polarization, {"power": -1}, "`power` must be a finite real"),
        (covering, {"precision": 0}, "`precision` must be a real number in"),
        (covering, {"neuron_axis": 2}, "`neuron_axis` must be in"),
        (compressive_energy, {"dim": 1}, "`dim` must be an integer in"),
        (compressive_energy, {"projection": "pca"}, "`projection` must be one"),
        (compressive_energy, {"seed": -1}, "`seed` must be an integer >= 0"),
    ],
)
def test_wrong_arguments(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(kernel_of((4, 6)), **arguments)

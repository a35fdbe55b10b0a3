"""Gradients of the energy against central differences of float64 loops."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from keras_mhe.functional import hyperspherical_energy
from support import numpy_reference
from support.float64_probe import PROBED
from support.forms import FEW_FORMS, FORMS, form_id
from support.gradients import MODES, evaluator, run, value_and_grad
from support.tolerances import GRADIENT, VALUE

all_forms = pytest.mark.parametrize("form", FORMS, ids=form_id)
few_forms = pytest.mark.parametrize("form", FEW_FORMS, ids=form_id)
all_modes = pytest.mark.parametrize("mode", MODES)
#: Compiled where the active backend has a compiler in these tests.
COMPILED = [mode for mode in MODES if mode != "eager"] or MODES
TESTS = Path(__file__).parents[1]


def random_weights(*shape, seed=3):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def assert_gradient(actual, expected, tolerance=GRADIENT["float32"]):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, atol=tolerance * scale)


def evaluate(weights, *args, mode="eager", dtype="float32", **form):
    return value_and_grad(
        lambda tensor: hyperspherical_energy(tensor, **form),
        weights,
        *args,
        mode=mode,
        dtype=dtype,
    )


def assert_matches_differences(weights, mode="eager", **form):
    evaluation = evaluate(weights, mode=mode, **form)
    np.testing.assert_allclose(
        evaluation.value,
        numpy_reference.energy(weights, **form),
        rtol=VALUE["float32"],
        atol=2e-6,
    )
    assert_gradient(
        evaluation.gradient, numpy_reference.gradient(weights, **form)
    )


@all_forms
def test_every_form(form):
    assert_matches_differences(random_weights(4, 5), **form)


@pytest.mark.parametrize("mode", COMPILED)
@few_forms
def test_compiled(form, mode):
    assert_matches_differences(random_weights(4, 5), mode=mode, **form)


@pytest.mark.parametrize("mode", COMPILED)
@pytest.mark.parametrize(
    ("shape", "neuron_axis", "groups"),
    [
        ((5, 4), 0, 1),
        ((3, 2, 4), (1, 2), 2),
        ((2, 3, 2), (2, 0), 2),
        ((1, 2, 2, 2, 3), (-2, -1), 3),
    ],
)
@pytest.mark.parametrize("half_space", [False, True])
def test_axes_and_groups(shape, neuron_axis, groups, half_space, mode):
    assert_matches_differences(
        random_weights(*shape),
        mode=mode,
        neuron_axis=neuron_axis,
        groups=groups,
        half_space=half_space,
    )


@all_forms
@pytest.mark.parametrize("epsilon", [1e-4, 0.3])
def test_epsilon(form, epsilon):
    weights = random_weights(3, 4) * np.array([0.05, 0.3, 1, 2], "float32")
    assert_matches_differences(weights, epsilon=epsilon, **form)


@all_forms
@pytest.mark.parametrize("groups", [1, 2])
def test_anchors(form, groups):
    assert_matches_differences(
        random_weights(3, 4), anchors=[0, 3, 3], groups=groups, **form
    )


@all_modes
@few_forms
def test_traced_anchors(form, mode):
    weights = random_weights(3, 5)
    evaluation = value_and_grad(
        lambda tensor, anchors: hyperspherical_energy(
            tensor, anchors=anchors, epsilon=0.01, **form
        ),
        weights,
        [4, 0, 4],
        mode=mode,
    )
    expected = {"anchors": [4, 0, 4], "epsilon": 0.01, **form}
    np.testing.assert_allclose(
        evaluation.value,
        numpy_reference.energy(weights, **expected),
        rtol=VALUE["float32"],
        atol=2e-6,
    )
    assert_gradient(
        evaluation.gradient, numpy_reference.gradient(weights, **expected)
    )


@pytest.mark.parametrize("mode", COMPILED)
@pytest.mark.parametrize("half_space", [False, True])
def test_anchors_out_of_range_are_clamped_only_where_unseen(mode, half_space):
    weights = ops.convert_to_tensor(random_weights(3, 5))

    def energy(anchors):
        return hyperspherical_energy(
            weights, anchors=anchors, half_space=half_space
        )

    with pytest.raises(ValueError, match=r"`anchors`.*\[0, 4\].*Received: 9"):
        run(energy, [0, 9, -3])
    if mode == "eager":  # PyTorch sees the values in every test mode.
        return
    clamped = run(energy, [0, 4, 0], mode=mode)
    np.testing.assert_allclose(run(energy, [0, 9, -3], mode=mode), clamped)


@all_forms
@pytest.mark.parametrize("anchors", [None, [0, 3, 3]])
def test_orthogonal_to_each_neuron(form, anchors):
    weights = random_weights(6, 5)
    gradient = evaluate(weights, anchors=anchors, **form).gradient
    along = np.abs((weights.astype("float64") * gradient).sum(0))
    lengths = np.linalg.norm(weights, axis=0) * np.linalg.norm(gradient, axis=0)
    assert lengths.min() > 0
    assert (along / lengths).max() < 1e-5


@all_forms
def test_inverse_to_the_norm(form):
    weights = random_weights(5, 4)
    factors = np.array([1e-15, 1e15, 1.0, 1e-3], "float32")
    gradient = evaluate(weights, **form).gradient
    scaled = evaluate(weights * factors, **form).gradient
    for neuron in range(4):
        assert_gradient(
            scaled[:, neuron] * factors[neuron], gradient[:, neuron]
        )


@all_modes
@pytest.mark.parametrize("form", FEW_FORMS[1::2], ids=form_id)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_dtype_is_that_of_the_weights(form, dtype, mode):
    weights = random_weights(4, 5)
    rounded = ops.convert_to_numpy(
        ops.cast(ops.cast(weights, dtype), "float32")
    )
    evaluation = evaluate(weights, mode=mode, dtype=dtype, **form)
    assert evaluation.value_dtype == "float32"
    assert evaluation.gradient_dtype == dtype
    assert_gradient(
        evaluation.gradient,
        evaluate(rounded, **form).gradient,
        GRADIENT[dtype],
    )


@pytest.mark.parametrize("pairs", ["anchors", "others"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_of_repeated_anchors_add_up_in_float32(dtype, pairs):
    weights = np.random.default_rng(0).normal(size=(8, 40))
    weights = ops.convert_to_numpy(
        ops.cast(ops.cast(weights, dtype), "float32")
    )
    form = {"anchors": [3, 5] * 1024}
    if pairs == "others":
        form["others"] = list(range(0, 40, 2))
    exact = evaluate(weights, **form).gradient
    actual = evaluate(weights, dtype=dtype, **form).gradient
    np.testing.assert_allclose(actual, exact, atol=0.01 * np.abs(exact).max())


def test_float64(tmp_path):
    # JAX has no float64 unless told so before it starts.
    target = tmp_path / "evaluations.npz"
    subprocess.run(
        [sys.executable, "-m", "support.float64_probe", str(target)],
        env={
            **os.environ,
            "JAX_ENABLE_X64": "1",
            "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
        },
        check=True,
    )
    evaluations = np.load(target)
    for place, form in enumerate(PROBED):
        weights = evaluations["weights"]
        assert evaluations[f"dtypes{place}"] == "float64 float64", form
        np.testing.assert_allclose(
            evaluations[f"value{place}"],
            numpy_reference.energy(weights, **form),
            rtol=VALUE["float64"],
            err_msg=str(form),
        )
        assert_gradient(
            evaluations[f"gradient{place}"],
            numpy_reference.gradient(weights, **form),
            GRADIENT["float64"],
        )


@pytest.mark.parametrize("half_space", [False, True])
def test_upstream_gradient_is_multiplied(half_space):
    weights = random_weights(4, 5)
    evaluate_scaled = evaluator(
        lambda tensor: ops.square(
            3.0 * hyperspherical_energy(tensor, half_space=half_space)
        )
    )
    plain = evaluate(weights, half_space=half_space)
    assert_gradient(
        evaluate_scaled(weights).gradient,
        18.0 * plain.value * plain.gradient,
    )

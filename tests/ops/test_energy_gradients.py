"""What gradients of the energy owe beyond their values: sums, dtypes, tangents.

`test_energy_values.py` compares them with differences of loops.
"""

import numpy as np
import pytest
from keras import ops

from keras_mhe.ops import hyperspherical_energy
from support.energies import assert_matches_loops, evaluate
from support.forms import FEW_FORMS, FORMS, form_id
from support.gradients import (
    FASTEST,
    MODES,
    evaluator,
    run,
    value_and_grad,
    with_float64,
)
from support.tensors import assert_near, random_array, rounded

WEIGHTS = random_array(5, 6)


@pytest.mark.parametrize("form", FORMS, ids=form_id)
@pytest.mark.parametrize("anchors", [None, [2, 2, 5, 2]])
def test_orthogonal_to_each_neuron(form, anchors):
    gradient = evaluate(WEIGHTS, anchors=anchors, **form).gradient
    along = np.abs((WEIGHTS.astype("float64") * gradient).sum(0))
    lengths = np.linalg.norm(WEIGHTS, axis=0) * np.linalg.norm(gradient, axis=0)
    assert lengths.min() > 0
    assert (along / lengths).max() < 1e-5


@pytest.mark.parametrize("half_space", [False, True])
def test_upstream_gradient_is_multiplied(half_space):
    evaluate_scaled = evaluator(
        lambda tensor: ops.square(
            3.0 * hyperspherical_energy(tensor, half_space=half_space)
        ),
        mode=FASTEST,
    )
    plain = evaluate(WEIGHTS, half_space=half_space)
    assert_near(
        evaluate_scaled(WEIGHTS).gradient,
        18.0 * plain.value * plain.gradient,
        1e-4,
    )


@pytest.mark.parametrize("options", [{}, {"others": range(0, 40, 2)}])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_of_repeated_anchors_add_up_in_float32(dtype, options):
    weights = rounded(random_array(8, 40), dtype)
    form = {"anchors": [3, 5] * 1024, **options}
    exact = evaluate(weights, **form).gradient
    assert_near(evaluate(weights, dtype=dtype, **form).gradient, exact, 0.01)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"epsilon": 0.01},
        {"anchors": [0, 3, 3], "epsilon": 0.01},
        {"anchors": [1, 2]},
        {"groups": 2},
        {"block_size": 4},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
@pytest.mark.parametrize("form", FEW_FORMS, ids=form_id)
def test_float64(form, options):
    weights = random_array(3, 6, seed=4, dtype="float64")
    with with_float64():
        evaluation = value_and_grad(
            lambda tensor: hyperspherical_energy(tensor, **form, **options),
            weights,
            mode=FASTEST,
            dtype="float64",
        )
    assert evaluation.value_dtype == evaluation.gradient_dtype == "float64"
    looped = {k: v for k, v in options.items() if k != "block_size"}
    assert_matches_loops(evaluation, weights, "float64", **form, **looped)


@pytest.mark.parametrize("mode", [m for m in MODES if m != "eager"] or MODES)
def test_anchors_out_of_range_are_clamped_only_where_unseen(mode):
    weights = ops.convert_to_tensor(WEIGHTS)

    def energy(anchors):
        return hyperspherical_energy(weights, anchors=anchors)

    with pytest.raises(ValueError, match=r"`anchors`.*\[0, 5\].*Received: 9"):
        run(energy, [0, 9, -3])
    if mode == "eager":  # PyTorch sees the values in every test mode.
        return
    clamped = run(energy, [0, 5, 0], mode=mode)
    np.testing.assert_allclose(run(energy, [0, 9, -3], mode=mode), clamped)

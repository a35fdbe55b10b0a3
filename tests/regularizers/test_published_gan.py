"""`MHE.from_reference("gan")` against numbers of the published program."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_mhe import MHE
from keras_mhe.regularizers import PublishedGANMHE
from support.gradients import MODES, value_and_grad
from support.tensors import as_float

PUBLISHED = dict(
    np.load(
        Path(__file__).parents[1] / "reference" / "gan.npz", allow_pickle=False
    )
)
SHAPES = sorted(k.split(":")[1] for k in PUBLISHED if k.startswith("W:"))
KERNEL = np.random.default_rng(0).normal(size=(3, 2, 6)).astype("float32")


def loops(kernel, strength):
    """The program's formula, written out."""
    vectors = kernel.astype("float64").reshape(-1, kernel.shape[-1]).T
    doubled = np.concatenate([vectors, -vectors], axis=1)
    units = doubled / np.sqrt(np.sum(doubled**2, axis=1, keepdims=True) + 1e-4)
    count = len(units)
    total = 0.0
    for i in range(count):
        for j in range(count):
            squared = 2.0 - 2.0 * units[i] @ units[j] if i < j else 0.0
            total -= np.log(squared + 1e-4)
    return strength * total / count**2


def test_there_are_kernels():
    assert len(SHAPES) == 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_published_energy(shape, mode):
    evaluation = value_and_grad(
        PublishedGANMHE(1e-7), PUBLISHED[f"W:{shape}"], mode=mode
    )
    np.testing.assert_allclose(
        evaluation.value, PUBLISHED[f"gan_mhe:{shape}:value"], rtol=1e-5
    )
    expected = PUBLISHED[f"gan_mhe:{shape}:grad"]
    np.testing.assert_allclose(
        evaluation.gradient, expected, atol=1e-4 * np.abs(expected).max()
    )


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_formula(scale):
    kernel = np.float32(scale) * KERNEL
    np.testing.assert_allclose(
        as_float(PublishedGANMHE(0.5)(ops.convert_to_tensor(kernel))),
        loops(kernel, 0.5),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("name", "strength"), [("gan", 2e-6), ("sn_gan", 2e-7)]
)
def test_shipped_strengths(name, strength):
    term = MHE.from_reference(name)
    assert type(term) is PublishedGANMHE
    assert term.strength == strength
    serialized = keras.saving.serialize_keras_object(term)
    assert serialized["registered_name"] == "keras_mhe>PublishedGANMHE"
    restored = keras.regularizers.get(json.loads(json.dumps(serialized)))
    assert restored.get_config() == {"strength": strength}


def test_one_neuron_is_a_constant():
    evaluation = value_and_grad(PublishedGANMHE(1.0), KERNEL[:, 0, :1])
    np.testing.assert_allclose(evaluation.value, -np.log(1e-4), rtol=1e-6)
    np.testing.assert_array_equal(evaluation.gradient, np.zeros((3, 1)))


def test_it_is_full_space():
    # In half space a sign would not matter.
    flipped = KERNEL * np.array([1, -1, 1, -1, 1, 1], "float32")
    term = PublishedGANMHE(1.0)
    values = [
        as_float(term(ops.convert_to_tensor(w))) for w in (KERNEL, flipped)
    ]
    assert abs(values[0] - values[1]) > 1e-3


def test_degenerate_kernels_are_finite():
    for kernel in (np.zeros((3, 4)), np.ones((3, 4)), 1e30 * np.eye(3)):
        evaluation = value_and_grad(PublishedGANMHE(1.0), kernel)
        assert np.isfinite(evaluation.value)
        assert np.isfinite(evaluation.gradient).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gan", "0"), "has no `power_s`"),
        (("sn_gan", None, True), "has no `power_s` and no `output_layer`"),
        (("wgan",), "`model_name` must be one of"),
        (("mhe",), "`power_s` must be one of"),
    ],
)
def test_wrong_names(arguments, message):
    with pytest.raises(ValueError, match=message):
        MHE.from_reference(*arguments)


def test_wrong_strength():
    with pytest.raises(ValueError, match="`strength` must be a finite real"):
        PublishedGANMHE(-1.0)

"""`MHE.from_reference` against numbers made by the published program."""

import numpy as np
import pytest

from keras_mhe import MHE
from support.gradients import FASTEST, MODES, value_and_grad
from support.published import published
from support.tensors import assert_near

PUBLISHED = published("energies.npz")
VALUES = sorted(key for key in PUBLISHED if key.endswith(":value"))

#: How `from_reference` names the rows of the file. The output layer is in
#: full space whatever the model.
ARGUMENTS = {
    "mhe": [("mhe", False)],
    "half_mhe": [("half_mhe", False)],
    "final": [("mhe", True), ("half_mhe", True)],
}
each_case = pytest.mark.parametrize(
    ("key", "model_name", "output_layer"),
    [(key, *names) for key in VALUES for names in ARGUMENTS[key.split(":")[0]]],
)


def test_the_file_holds_every_form():
    assert len(VALUES) == 3 * 6 * 3


def assert_published(key, model_name, output_layer, mode):
    model, power_s, shape, _ = key.split(":")
    term = MHE.from_reference(model_name, power_s, output_layer=output_layer)
    evaluation = value_and_grad(term, PUBLISHED[f"W:{shape}"], mode=mode)
    np.testing.assert_allclose(evaluation.value, PUBLISHED[key], rtol=1e-5)
    gradient = PUBLISHED[key.replace(":value", ":grad")]
    # The program's float32 arccos is steep at the antipodal pairs.
    steep = model == "half_mhe" and power_s.startswith("a")
    assert_near(evaluation.gradient, gradient, 3e-4 if steep else 1e-4)


@pytest.mark.parametrize("mode", MODES)
@each_case
def test_published_energy(key, model_name, output_layer, mode):
    assert_published(key, model_name, output_layer, mode)


@each_case
def test_published_energy_in_tiles(key, model_name, output_layer, monkeypatch):
    # Of 24 neurons: none of the published kernels is large enough by itself.
    monkeypatch.setattr(
        "keras_mhe.ops._energy.means.choose_tile", lambda *_, **__: 24
    )
    assert_published(key, model_name, output_layer, FASTEST)

"""Models saved under each backend load under the one that runs.

The files in `saved/` are made by `make_saved_models.py`.
"""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from integration import make_saved_models
from support.tensors import as_float

HERE = Path(__file__).parent
BACKENDS = ("tensorflow", "jax", "torch")


def facts_of(backend):
    return json.loads((HERE / "saved" / f"{backend}.json").read_text())


def regularizers_of(model):
    return [
        variable.regularizer
        for variable in model.trainable_variables
        if variable.regularizer is not None
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_saved_file_loads(backend):
    facts = facts_of(backend)
    model = keras.models.load_model(HERE / "saved" / f"{backend}.keras")
    kinds = [type(one) for one in regularizers_of(model)]
    assert sorted(kind.__name__ for kind in kinds) == [
        *["MHE"] * 4,
        *["RegularizerSum"] * 2,
    ]
    np.testing.assert_allclose(
        [as_float(loss) for loss in model.losses], facts["losses"], rtol=2e-5
    )
    np.testing.assert_allclose(
        model.predict(make_saved_models.inputs(), verbose=0),
        facts["predictions"],
        atol=1e-5,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_saved_configuration_loads(backend):
    config = json.dumps(facts_of(backend)["config"])
    restored = keras.models.model_from_json(config)
    expected = make_saved_models.make_model()
    for actual, wanted in zip(
        regularizers_of(restored), regularizers_of(expected), strict=True
    ):
        assert type(actual) is type(wanted)
        assert actual.get_config() == wanted.get_config()

"""Models saved under each backend load under the one that runs.

The files in `saved/` are made by `make_saved_models.py`.
"""

import importlib.util
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mhe import MHE
from keras_mhe.regularizers import PublishedMHE, RegularizerSum
from support.tensors import as_float

HERE = Path(__file__).parent
BACKENDS = ("tensorflow", "jax", "torch")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location(
        "make_saved_models", HERE / "make_saved_models.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def facts_of(backend):
    return json.loads((HERE / "saved" / f"{backend}.json").read_text())


def regularizers_of(model):
    return [
        variable.regularizer
        for variable in model.trainable_variables
        if variable.regularizer is not None
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_saved_file_loads(backend, script):
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
        model.predict(script.inputs(), verbose=0),
        facts["predictions"],
        atol=1e-5,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_saved_configuration_loads(backend, script):
    config = json.dumps(facts_of(backend)["config"])
    restored = keras.models.model_from_json(config)
    expected = script.make_model()
    for actual, wanted in zip(
        regularizers_of(restored), regularizers_of(expected), strict=True
    ):
        assert type(actual) is type(wanted)
        assert actual.get_config() == wanted.get_config()


@pytest.mark.parametrize("backend", BACKENDS)
def test_loaded_model_trains(backend, script):
    model = keras.models.load_model(HERE / "saved" / f"{backend}.keras")
    model.compile("sgd", "mse")
    loss = model.train_on_batch(script.inputs(), np.ones((2, 2)))
    assert np.isfinite(loss)


def test_every_regularizer_is_in_the_files(script):
    found = regularizers_of(script.make_model())
    terms = [
        term
        for one in found
        for term in [one, *getattr(one, "regularizers", [])]
    ]
    assert {MHE, PublishedMHE, RegularizerSum} <= {type(t) for t in terms}


def test_saved_here_and_loaded_here(script, tmp_path):
    model = script.make_model()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(script.inputs(), verbose=0),
        model.predict(script.inputs(), verbose=0),
        atol=1e-6,
    )

"""LoRA and int8 of KerasHub's models, with random weights."""

import keras
import numpy as np
import pytest

from keras_mhe import MHE, audit, regularize
from support.tensors import total

keras_hub = pytest.importorskip(
    "keras_hub", reason="keras-hub asks for more than the suite's packages"
)
pytestmark = [
    pytest.mark.slow,
    # Keras warns of layers that it does not quantize.
    pytest.mark.filterwarnings("ignore:.*`quantize` method:UserWarning"),
]

TOKENS = np.arange(16).reshape(2, 8)
MASK = np.ones((2, 8), "int32")


def vit():
    model = keras_hub.models.ViTBackbone(
        image_shape=(16, 16, 3),
        patch_size=8,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=24,
    )
    return model, np.ones((2, 16, 16, 3), "float32")


def gemma():
    model = keras_hub.models.GemmaBackbone(
        vocabulary_size=20,
        num_layers=1,
        num_query_heads=2,
        num_key_value_heads=1,
        hidden_dim=16,
        intermediate_dim=24,
        head_dim=8,
    )
    return model, {"token_ids": TOKENS, "padding_mask": MASK}


def nothing(y_true, y_pred):
    return 0.0 * keras.ops.mean(y_pred)


def energy(model):
    rows = audit(model, layers=["*/query", "*/value"], half_space=True)
    assert len(rows) == 2
    return sum(row.energy for row in rows)


@pytest.mark.parametrize(
    ("mode", "order"), [(None, "regularize first"), ("int8", "LoRA first")]
)
@pytest.mark.parametrize("make", [vit, gemma])
def test_fine_tuning(make, mode, order, tmp_path):
    model, inputs = make()
    term = MHE(1.0, half_space=True)
    if order == "regularize first":
        regularize(model, term)
    model.enable_lora(2)
    if mode is not None:
        model.quantize(mode)
    if order == "LoRA first":
        rows = regularize(model, term)
        adapted = [row.layer for row in rows if row.note.startswith("LoRA: on")]
        assert [name.rpartition("/")[2] for name in adapted] == [
            "query",
            "value",
        ]
    start = energy(model)
    assert total(model.losses) == pytest.approx(start, rel=1e-4)
    # The regularizers alone.
    model.compile(keras.optimizers.Adam(1e-3), nothing)
    outputs = keras.tree.map_structure(
        lambda spec: np.zeros((2, 1)), model.output
    )
    history = model.fit(inputs, outputs, epochs=3, verbose=0).history["loss"]
    assert history[0] == pytest.approx(start, rel=1e-4)
    assert history[2] < history[1] < history[0]
    assert energy(model) < history[2]

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    # Merged, and quantized anew.
    assert energy(loaded) == pytest.approx(
        energy(model), rel=1e-5 if mode is None else 0.01
    )
    assert loaded.losses == []

"""Heads, energies and spectral normalization in exported models.

Each format needs a package of its own; without it a test is skipped.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_mhe import MHE
from keras_mhe.layers import SpectralNormalization
from support.heads import HEADS

#: Exporters warn of what they are made of.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

IMAGES = np.random.default_rng(0).normal(size=(2, 5, 5, 2)).astype("float32")
BACKEND = keras.backend.backend()


def onnx(path):
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    name = session.get_inputs()[0].name
    return session.run(None, {name: IMAGES})[0]


def openvino(path):
    core = pytest.importorskip("openvino").Core()
    return core.compile_model(path, "CPU")(IMAGES)[0]


def litert(path):
    package = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = package.Interpreter(path)
    place = interpreter.get_input_details()[0]["index"]
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, IMAGES)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def tf_saved_model(path):
    loaded = pytest.importorskip("tensorflow").saved_model.load(path)
    return loaded.serve(IMAGES).numpy()


#: Ends of file names, packages that write and read, backends.
FORMATS = {
    onnx: (
        ".onnx",
        ["onnxruntime"],
        {"torch": "onnxscript", "jax": "jax2onnx", "tensorflow": "tf2onnx"},
    ),
    openvino: (
        ".xml",
        ["openvino", "scipy"],
        {"torch": "openvino", "tensorflow": "openvino"},
    ),
    litert: (
        ".tflite",
        ["ai_edge_litert.interpreter"],
        {"torch": "litert_torch", "tensorflow": "ai_edge_litert"},
    ),
    tf_saved_model: (
        "",
        [],
        {"jax": "tensorflow", "tensorflow": "tensorflow"},
    ),
}


@pytest.mark.parametrize("name", ["ArcFace", "SphereFace-4", "SphereFace2"])
@pytest.mark.parametrize("run", FORMATS, ids=lambda run: run.__name__)
def test_exported_model(run, name, tmp_path):
    suffix, packages, writers = FORMATS[run]
    if BACKEND not in writers:
        pytest.skip(f"Keras exports no {run.__name__} from {BACKEND}")
    for package in (*packages, writers[BACKEND]):
        pytest.importorskip(package)
    images = keras.Input(IMAGES.shape[1:])
    convolution = SpectralNormalization(
        layers.Conv2D(3, 3, kernel_regularizer=MHE(half_space=True))
    )
    features = layers.Flatten()(convolution(images))
    head = HEADS[name](energy=MHE(), kernel_regularizer=MHE())
    model = keras.Model(images, head(features))
    expected = ops.convert_to_numpy(model(IMAGES))

    path = str(tmp_path / f"model{suffix}")
    signature = [keras.InputSpec(shape=IMAGES.shape, dtype="float32")]
    model.export(
        path, format=run.__name__, input_signature=signature, verbose=False
    )
    np.testing.assert_allclose(run(path), expected, atol=1e-4)

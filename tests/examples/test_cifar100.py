"""The CIFAR-100 program: a tiny run of it, and its parts."""

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

import cifar100
import keras_mhe
import runs
from cifar100 import RECIPES, Options, kernel_arguments
from keras_mhe import initializers, regularizers

SMALL = ["--train_size=100", "--batch_size=50", "--width=0.03"]
SMALL += ["--validation_size=50", "--epochs=2"]
METHOD = ["--model-name=mhe", "--power-s=0", "--strength=0.5", "--seed=3"]


def run(output, *arguments):
    return cifar100.main([*SMALL, *arguments, f"--output={output}"])


def test_a_run_fills_its_folder_and_is_not_run_again(tmp_path, capsys):
    """Two epochs of two steps with half of the published energy."""
    assert run(tmp_path, *METHOD) == 0
    (folder,) = tmp_path.iterdir()
    assert folder.name == (
        "mhe_0_strength_0.5_train_size_100_validation_size_50_epochs_2_"
        "batch_size_50_width_0.03_seed_3"
    )
    settings = runs.read_json(folder / runs.SETTINGS)["settings"]
    assert settings["learning_rate"] == 0.05
    metrics = runs.read_json(folder / runs.METRICS)
    assert metrics["steps"] == 4
    history = runs.read_history(folder)
    assert history["strength_factor"].tolist() == [0.5, 0.5]
    model = runs.load_model(folder / runs.MODEL)
    assert len(keras_mhe.analysis.neuron_kernels(model)) == 11
    rows = keras_mhe.audit(model, **cifar100.WATCHED)
    # The log is of the weights that were saved.
    logged = [history[f"energy_gap/{row.layer}"][-1] for row in rows]
    assert logged == pytest.approx([row.gap for row in rows], rel=1e-4)
    assert metrics["energy_gap"] == pytest.approx(np.mean(logged), rel=1e-4)
    for name in ("training.png", "angles.png", "classifier.png"):
        with Image.open(folder / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 10
    before = {p: p.stat().st_mtime_ns for p in folder.glob("[!.]*")}
    assert run(tmp_path, *METHOD) == 0
    assert "finished before" in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in folder.glob("[!.]*")}


@pytest.mark.slow
def test_the_run_of_the_readme(tmp_path):
    assert cifar100.main([f"--output={tmp_path}"]) == 0
    (metrics,) = tmp_path.glob(f"*/{runs.METRICS}")
    assert runs.read_json(metrics)["test_accuracy"] > 0.97


def test_published_loss():
    logits = np.array([[2.0, 0.0, -1.0], [-60.0, 60.0, 0.0]])
    labels = np.eye(3)[[0, 0]]
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = 0.99 * labels + 0.01 / 3
    expected = -(target * np.log(softmax + 1e-4)).sum(axis=1)
    loss = cifar100.PublishedCrossEntropy(reduction="none")
    values = loss(labels.astype("float32"), logits.astype("float32"))
    np.testing.assert_allclose(
        ops.convert_to_numpy(values), expected, rtol=1e-4
    )


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_the_published_recipe(shape):
    options = runs.filled(Options(recipe="published"), RECIPES["published"])
    model = cifar100.cnn9(shape, 100, options)
    kernels = [x.kernel.shape for x in model.layers if hasattr(x, "kernel")]
    filters = [shape[2], 64, 64, 64, 128, 128, 128, 256, 256, 256, 256, 100]
    sizes = [3] * 9 + [shape[0] // 8, 1]
    assert list(map(tuple, kernels)) == [
        (size, size, *filters[k : k + 2]) for k, size in enumerate(sizes)
    ]
    # Weight decay is on every trainable variable.
    assert all(variable.regularizer for variable in model.trainable_variables)
    assert not any("bias" in variable.name for variable in model.variables)
    grey = model(np.full((1, *shape), 127.5, "float32"))
    assert np.abs(ops.convert_to_numpy(grey)).max() == 0.0
    normalizations = [x for x in model.layers if hasattr(x, "momentum")]
    assert {layer.momentum for layer in normalizations} == {0.999}
    steps = options.epochs * options.steps_per_epoch
    cifar100.compile_model(model, options, steps)
    assert isinstance(model.loss, cifar100.PublishedCrossEntropy)
    rates = model.optimizer._learning_rate
    assert rates.boundaries == [20_000, 30_000, 37_500]
    assert rates.values == pytest.approx([0.1, 0.01, 0.001, 0.0001])
    assert (steps, options.batch_size) == (42_500, 128)


KINDS = {
    "mhe": regularizers.PublishedMHE,
    "half_mhe": regularizers.PublishedMHE,
    "gap": keras_mhe.MHE,
    "orthogonal": cifar100.OrthogonalColumns,
    **cifar100.RELATIVES,
}


@pytest.mark.parametrize("name", KINDS)
def test_terms_of_hidden_layers_and_of_the_classifier(name):
    options = Options(model_name=name, strength=0.5, weight_decay=2.0)
    kernel = np.random.default_rng(0).normal(size=(2, 2, 2, 12))
    kernel = keras.ops.convert_to_tensor(kernel.astype("float32"))
    for is_output in (False, True):
        arguments = kernel_arguments(options, is_output=is_output)
        decay, term = arguments["kernel_regularizer"].regularizers
        assert float(decay.l2) == pytest.approx(1.0)
        assert type(term) is KINDS[name]
        config = keras.saving.serialize_keras_object(term)
        again = keras.saving.deserialize_keras_object(config)
        assert float(again(kernel)) == pytest.approx(float(term(kernel)))
        half_space = getattr(term, "half_space", not is_output)
        # Gaps pull alike on all kernels.
        is_full = name != "gap" and (is_output or name == "mhe")
        assert half_space == (not is_full)
        assert (getattr(term, "units", "energy") == "gap") == (name == "gap")
        if "mhe" not in name:
            strength = getattr(term, "strength", getattr(term, "factor", None))
            assert float(strength) == 0.5 * (10 if is_output and is_full else 1)


@pytest.mark.once
def test_constraints_and_initializer():
    for option, name in ("none", "NoneType"), ("descent", "EnergyDescent"):
        given = {"constraint": option, "initializer": "minimum_energy"}
        options = Options(**given, weight_decay=0.0)
        arguments = kernel_arguments(options, is_output=False)
        assert type(arguments["kernel_constraint"]).__name__ == name
        initializer = arguments["kernel_initializer"]
        assert type(initializer) is initializers.MinimumEnergy


@pytest.mark.once
def test_crops_are_parts_of_the_mirrored_image():
    image = np.arange(32 * 32).reshape(1, 32, 32, 1)
    padded = np.pad(image[0, ..., 0], 4, "symmetric")
    generator = np.random.default_rng(0)
    places = set()
    for crop in cifar100.random_crops(image.repeat(300, 0), generator):
        # The pixel of the middle tells how far it was moved.
        top, left = divmod(int(crop[16, 16, 0]), 32)
        part = padded[top - 12 : top + 20, left - 12 : left + 20]
        np.testing.assert_array_equal(crop[..., 0], part)
        places.add((top - 16, left - 16))
    assert len(places) > 70


@pytest.mark.once
def test_what_cannot_be_used_is_one_line_and_nothing_is_written(
    tmp_path, capsys
):
    root = tmp_path / "runs"
    assert run(root, "--dataset=cifar10", f"--data_dir={tmp_path / 'x'}") == 2
    assert run(root, "--train_size=2000") == 2
    missing, size = capsys.readouterr().err.splitlines()
    assert missing.endswith("x is missing, or is no regular file. Correct it.")
    assert size.startswith("cifar100.py: 2000 images were asked for")
    assert not root.exists()

"""Relatives, constraints and the initializer in the image program."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from cifar100 import main
from classification import options as command_line
from classification.methods import Method
from classification.network import cnn9
from classification.neuron_terms import (
    CONSTRAINTS,
    INITIALIZERS,
    RELATIVES,
    OrthogonalColumns,
)
from common.callbacks import CPU_SECONDS, StepTime
from keras_mhe import constraints, initializers, regularizers
from keras_mhe.analysis import energy_gap
from keras_mhe.functional import hyperspherical_energy
from support import image_program as program
from support.command_line import refused
from support.tensors import as_float

DECAY = keras.regularizers.L2(0.1)
CLASSES = {
    "compressive": regularizers.CompressiveMHE,
    "covering": regularizers.Covering,
    "gram_determinant": regularizers.GramDeterminant,
    "orthogonal": OrthogonalColumns,
    "polarization": regularizers.Polarization,
    "separation": regularizers.Separation,
    "uniformity": regularizers.Uniformity,
    "descent": constraints.EnergyDescent,
    "max_energy": constraints.MaxEnergy,
    "unit_sphere": constraints.UnitSphere,
    "minimum_energy": initializers.MinimumEnergy,
}


def arguments_of(text, output_layer=False):
    method = Method.parse(text)
    return method.kernel_arguments(DECAY, output_layer=output_layer)


def test_all_names_are_tested():
    assert set(CLASSES) == {*RELATIVES, *CONSTRAINTS, *INITIALIZERS}


@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize("output_layer", [False, True])
def test_relatives(name, output_layer):
    found = arguments_of(f"{name}:0.5", output_layer)["kernel_regularizer"]
    term, decay = found.regularizers
    assert type(term) is CLASSES[name]
    assert decay is DECAY
    config = term.get_config()
    strength = config.get("strength", config.get("factor"))
    assert strength == (5.0 if output_layer else 0.5)
    if name != "orthogonal":
        assert config["half_space"] is not output_layer


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("output_layer", [False, True])
def test_constraints(name, output_layer):
    found = arguments_of(f"{name}:0.25", output_layer)
    constraint = found["kernel_constraint"]
    assert type(constraint) is CLASSES[name]
    config = constraint.get_config()
    assert 0.25 in config.values()
    if name != "unit_sphere":
        assert config["half_space"] is not output_layer
    assert found["kernel_regularizer"] is DECAY


@pytest.mark.parametrize("output_layer", [False, True])
def test_initializer(output_layer):
    keras.utils.set_random_seed(0)
    initializer, other = (
        arguments_of("minimum_energy", output_layer)["kernel_initializer"]
        for _ in range(2)
    )
    kernel = ops.convert_to_numpy(initializer((3, 3, 6, 40)))
    half_space = not output_layer
    energy = as_float(hyperspherical_energy(kernel, half_space=half_space))
    assert abs(energy_gap(energy, 40, 54, half_space=half_space)) < 0.01
    # As large as He's, and not the same twice.
    assert kernel.std() == pytest.approx(np.sqrt(2 / 54), rel=0.1)
    assert not np.allclose(kernel, ops.convert_to_numpy(other((3, 3, 6, 40))))


def test_orthogonal_columns():
    kernel = np.random.default_rng(0).normal(size=(2, 2, 3, 5))
    columns = kernel.reshape(12, 5)
    columns = columns / np.linalg.norm(columns, axis=0)
    cosines = (columns.T @ columns)[np.triu_indices(5, 1)]
    term = OrthogonalColumns(0.3)(ops.convert_to_tensor(kernel, "float32"))
    assert as_float(term) == pytest.approx(
        0.3 * np.abs(cosines).mean(), rel=1e-5
    )


def test_methods_act_on_all_kernels():
    method = Method.parse("half_mhe:2+separation+max_energy+minimum_energy")
    with keras.StatelessScope(initialize_variables=False):
        model = cnn9(
            (8, 8, 1), 10, method=method, width=0.0625, weight_decay=1e-3,
            batch_norm_momentum=0.9,
        )  # fmt: skip
    convolutions = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    assert len(convolutions) == 11
    for layer in convolutions:
        names = [
            type(term).__name__
            for term in layer.kernel_regularizer.regularizers
        ]
        assert names == ["PublishedMHE", "Separation", "L2"]
        assert isinstance(layer.kernel_constraint, constraints.MaxEnergy)
        assert isinstance(layer.kernel_initializer, initializers.MinimumEnergy)


@pytest.mark.parametrize(
    ("arguments", "label"),
    [
        ([], "half_mhe:2"),
        (["--model_name=mhe", "--power_s=0"], "mhe:0"),
        (["--relative=separation"], "separation:1"),
        (["--constraint=max_energy:0.5"], "max_energy:0.5"),
        (["--initializer=minimum_energy"], "minimum_energy"),
        (
            ["--model_name=half_mhe", "--relative=uniformity:2",
             "--constraint=descent", "--initializer=minimum_energy"],
            "half_mhe:2+uniformity:2+descent:0.01+minimum_energy",
        ),
    ],
)  # fmt: skip
def test_options_of_one_run(arguments, label):
    options = command_line.parse(arguments)
    assert command_line.method_of(options).label == label


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--relative=descent"], "--relative: must be one of compressive"),
        (["--constraint=separation"], "--constraint: must be one of descent"),
        (
            ["--constraint=descent:0"],
            "--constraint: descent takes a number > 0",
        ),
        (["--initializer=he"], "--initializer: must be one of minimum_energy"),
        (
            ["--initializer=minimum_energy:1"],
            "--initializer: minimum_energy takes no number",
        ),
        (["--relative=separation:nan"], "separation takes a number > 0"),
        (
            ["--compare", "separation@0.1+descent@0.2"],
            "after `@` stands the method's learning rate",
        ),
        (
            ["--compare", "baseline", "--relative=separation"],
            "--relative does nothing with --compare",
        ),
        (
            ["--power_s=0", "--relative=separation"],
            "--power_s goes with --model_name mhe or half_mhe",
        ),
        (
            ["--power_s=0", "--compare", "baseline"],
            "--power_s does nothing with --compare",
        ),
    ],
)
def test_wrong_options(arguments, message, capsys):
    assert message in refused(command_line.parse, arguments, capsys)


def test_a_run_with_everything(tmp_path: Path, capsys):
    more = [
        "--relative=orthogonal:0.1",
        "--constraint=max_energy:0.5",
        "--initializer=minimum_energy",
        f"--output={tmp_path}",
    ]
    assert main([*program.SMALL, *more]) == 0
    label = "orthogonal:0.1+max_energy:0.5+minimum_energy"
    assert label in capsys.readouterr().out
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["hidden_energy_gap_last_epoch"] < 0.51
    assert metrics["cpu_milliseconds_per_step"] > 0
    model = keras.models.load_model(tmp_path / "last.keras", compile=False)
    layer = model.get_layer("features")
    assert isinstance(layer.kernel_constraint, constraints.MaxEnergy)


def test_step_time_is_that_of_the_steps_alone(monkeypatch):
    clock = iter([10.0, 10.5, 12.0])
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    timer = StepTime()
    for batch in range(2):
        timer.on_train_batch_begin(batch)
        timer.on_train_batch_end(batch)
    logs = {}
    # The clock is not read again after the last step.
    timer.on_epoch_end(0, logs)
    assert logs == {CPU_SECONDS: 2.0}

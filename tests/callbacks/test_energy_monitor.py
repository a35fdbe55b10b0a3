"""`EnergyMonitor`: the keys and numbers that it adds to the logs."""

import re
from statistics import fmean

import keras
import numpy as np
import pytest
from keras import layers

import keras_mhe
from keras_mhe import MHE
from keras_mhe.callbacks import EnergyMonitor

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(16, 8)).astype("float32")
TARGETS = RNG.normal(size=(16, 2)).astype("float32")
FORM = {"power": 1, "distance": "angular", "half_space": True}


def model_of(input_dim=8):
    model = keras.Sequential(
        [
            keras.Input((input_dim,)),
            layers.Dense(6, name="first", kernel_regularizer=MHE(1.0)),
            layers.Dense(2, name="second"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def fit(model, *callbacks, inputs=INPUTS, **options):
    return model.fit(
        inputs, TARGETS, epochs=3, verbose=0, callbacks=list(callbacks),
        **options,
    ).history  # fmt: skip


def per_layer(rows):
    """What the monitor logs of each row of an audit."""
    return {
        f"{key}/{row.layer}": value
        for row in rows
        for key, value in (
            ("energy", row.energy),
            ("energy_gap", row.gap),
            ("min_angle", row.min_angle),
        )
    }


@pytest.mark.parametrize("form", [{}, FORM], ids=str)
def test_initial_and_last_values_are_those_of_an_audit(form):
    model = model_of()
    monitor = EnergyMonitor(per_layer=True, **form)
    assert monitor.initial == {}
    before = keras_mhe.audit(model, **form)
    history = fit(model, monitor, validation_data=(INPUTS, TARGETS))
    assert all(len(values) == 3 for values in history.values())
    after = keras_mhe.audit(model, **form)
    last = {key: values[-1] for key, values in history.items()}
    assert last.pop("loss") > 0.0
    assert last.pop("val_loss") > 0.0
    for found, rows in ((monitor.initial, before), (last, after)):
        expected = {
            "energy": fmean(row.energy for row in rows),
            "energy_gap": fmean(row.gap for row in rows),
            "min_angle": min(row.min_angle for row in rows),
            **per_layer(rows),
        }
        assert found == pytest.approx(expected, rel=1e-4)
        assert {type(value) for value in found.values()} == {float}
    assert monitor.initial["energy/first"] != last["energy/first"]


def test_kernels_without_a_random_level_have_no_gap():
    # `first` has vectors of 2 entries, `second` of 6; power 2 needs 4.
    inputs = INPUTS[:, :2]
    history = fit(model_of(2), EnergyMonitor(per_layer=True), inputs=inputs)
    assert "energy/first" in history
    assert "energy_gap/first" not in history
    assert history["energy_gap"] == history["energy_gap/second"]
    without = fit(model_of(2), EnergyMonitor(power=7), inputs=inputs)
    assert set(without) == {"loss", "energy", "min_angle"}


def test_every_second_epoch():
    histories = []
    for every in (1, 2):
        keras.utils.set_random_seed(0)
        monitor = EnergyMonitor(every=every)
        histories.append(fit(model_of(), monitor)["energy"])
    _, second, _ = histories[0]
    assert histories[1] == [monitor.initial["energy"], second, second]
    assert len({monitor.initial["energy"], *histories[0]}) == 4


def test_it_can_be_used_for_a_second_fit():
    model, monitor = model_of(), EnergyMonitor()
    first = fit(model, monitor)
    fit(model, monitor)
    assert monitor.initial["energy"] == pytest.approx(first["energy"][-1])


def test_model_without_kernels():
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(1), layers.Lambda(lambda x: x[:, :1])]
    )
    model.compile("sgd", "mse")
    with pytest.raises(
        ValueError, match=r"built model with at least one kernel.*Received"
    ):
        model.fit(
            INPUTS, TARGETS[:, :1], verbose=0, callbacks=[EnergyMonitor()]
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"power": -1}, "`power` must be a finite real number >= 0"),
        ({"every": 0}, "`every` must be an integer >= 1"),
        ({"per_layer": 1}, "`per_layer` must be True or False"),
    ],
)
def test_argument_errors(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(model_of(), EnergyMonitor(**arguments))


def nested_model():
    block = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(6, name="one"),
            layers.Dense(5, name="two"),
        ],
        name="block",
    )
    model = keras.Sequential([keras.Input((8,)), block, layers.Dense(2)])
    model.layers[-1].name = "last"
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["block"], {"block/one", "block/two"}),
        (("last", "block/one"), {"block/one", "last"}),
    ],
)
def test_chosen_layers(names, expected):
    history = fit(nested_model(), EnergyMonitor(per_layer=True, layers=names))
    prefix = "energy/"
    keys = {key.removeprefix(prefix) for key in history if prefix in key}
    assert keys == expected
    mean = fmean(history[f"energy/{name}"][-1] for name in expected)
    assert history["energy"][-1] == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["block", "one"], "`layers` must name .* Received: 'one'"),
        ("block", "`layers` must be None or a non-empty sequence of names"),
    ],
)
def test_wrong_layers(names, message):
    with pytest.raises(ValueError, match=message):
        fit(nested_model(), EnergyMonitor(layers=names))


@pytest.mark.parametrize(("value", "last"), [(0.0, 2), (np.nan, 1)])
def test_keys_stay_when_weights_are_lost(value, last):
    """The columns of neurons that die, or are no longer numbers."""
    model = model_of()

    def spoil(epoch, logs):
        for layer, numbers in zip(
            model.layers, [(0, 2, 6), (0, 0, 2)], strict=True
        ):
            kernel = keras.ops.convert_to_numpy(layer.kernel).copy()
            kernel[:, : numbers[epoch]] = value
            layer.kernel.assign(kernel)

    history = fit(
        model,
        keras.callbacks.LambdaCallback(on_epoch_end=spoil),
        EnergyMonitor(per_layer=True),
    )
    assert {len(logged) for logged in history.values()} == {3}
    for key in ("energy", "energy_gap", "min_angle"):
        # None is left in the last epoch that has an energy.
        first = 2 if key == "min_angle" else last
        for name, begin in (
            (key, first),
            (f"{key}/first", first),
            (f"{key}/second", 2),
        ):
            assert np.isfinite(history[name][:begin]).all()
            assert np.isnan(history[name][begin:]).all()


def test_layers_of_few_living_neurons_are_left_out_of_the_means():
    model = model_of()
    kernel = np.zeros((8, 6), "float32")
    kernel[0, 0] = 1.0
    model.layers[0].kernel.assign(kernel)
    monitor = EnergyMonitor(per_layer=True)
    fit(model, monitor)
    found = monitor.initial
    assert np.isnan(found["energy_gap/first"])
    assert found["energy_gap"] == found["energy_gap/second"]
    assert found["energy"] == found["energy/second"]

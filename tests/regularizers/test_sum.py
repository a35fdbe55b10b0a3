"""Sums of regularizers with `+`."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops, regularizers

from keras_mhe import MHE
from keras_mhe.regularizers import PublishedMHE, RegularizerSum
from support.tensors import as_float

KERNEL = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


def value(regularizer, weights=KERNEL):
    return as_float(regularizer(ops.convert_to_tensor(weights)))


def names(total):
    return [type(term).__name__ for term in total.regularizers]


@pytest.mark.parametrize("ours", [MHE(0.5), PublishedMHE("mhe", "a1")])
@pytest.mark.parametrize("other", [regularizers.L2(0.01), regularizers.L1(0.1)])
def test_either_order(ours, other):
    for total, first in ((ours + other, ours), (other + ours, other)):
        assert isinstance(total, RegularizerSum)
        assert total.regularizers[0] is first
        np.testing.assert_allclose(
            value(total), value(ours) + value(other), rtol=1e-6
        )


def test_nested_sums_are_flat():
    left = (MHE() + regularizers.L2(0.1)) + (regularizers.L1(0.1) + MHE(2.0))
    assert names(left) == ["MHE", "L2", "L1", "MHE"]
    right = regularizers.L1(0.1) + (regularizers.L2(0.1) + MHE())
    assert names(right) == ["L1", "L2", "MHE"]
    assert names(left + regularizers.L2(0.1)) == [*names(left), "L2"]
    assert names(regularizers.L2(0.1) + left) == ["L2", *names(left)]
    expected = value(MHE()) + value(MHE(2.0))
    expected += value(regularizers.L2(0.1)) + value(regularizers.L1(0.1))
    np.testing.assert_allclose(value(left), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("total", "expected"),
    [(MHE() + "l2", ["MHE", "L2"]), ("l1" + MHE(), ["L1", "MHE"])],
)
def test_names_of_keras_regularizers(total, expected):
    assert names(total) == expected
    assert np.isfinite(value(total))


def test_callables():
    total = MHE() + (lambda weights: ops.sum(weights))
    np.testing.assert_allclose(
        value(total), value(MHE()) + KERNEL.sum(), rtol=1e-5
    )


def test_sum_of_a_list():
    total = sum([MHE(), regularizers.L2(0.1), MHE(2.0)])
    assert names(total) == ["MHE", "L2", "MHE"]
    regularizer = MHE()
    assert sum([regularizer]) is regularizer


@pytest.mark.parametrize("other", [3, 0.5, None, [1]])
def test_what_is_no_regularizer(other):
    for sides in ((MHE(), other), (MHE() + MHE(), other)):
        with pytest.raises(TypeError, match="unsupported operand"):
            sides[0] + sides[1]
        with pytest.raises(TypeError, match=r"unsupported operand|concatenate"):
            sides[1] + sides[0]


def test_unknown_name():
    with pytest.raises(ValueError, match="not_a_regularizer"):
        MHE() + "not_a_regularizer"


@pytest.mark.parametrize("terms", [[], [MHE()]])
def test_fewer_than_two_terms(terms):
    with pytest.raises(
        ValueError, match=r"`regularizers` must hold at least two.*Received"
    ):
        RegularizerSum(terms)


def test_term_that_is_nothing():
    with pytest.raises(
        ValueError, match=r"`regularizers` must hold Keras.*Received: None"
    ):
        RegularizerSum([MHE(), None])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_value_is_float32(dtype):
    weights = ops.cast(KERNEL, dtype)
    for total in (MHE() + regularizers.L2(0.1), regularizers.L2(0.1) + MHE()):
        result = total(weights)
        assert keras.backend.standardize_dtype(result.dtype) == "float32"


SUMS = {
    "plain": MHE(0.5, neuron_axis=(0,)) + regularizers.L1L2(0.1, 0.2),
    "nested": "l2" + (PublishedMHE("half_mhe", "a2") + MHE(0.1, power=0)),
    "orthogonal": regularizers.OrthogonalRegularizer(0.1) + MHE(),
}


@pytest.mark.parametrize("total", SUMS.values(), ids=SUMS)
def test_config_round_trip(total):
    config = total.get_config()
    plain = json.loads(json.dumps(config))
    assert plain == config
    restored = RegularizerSum.from_config(plain)
    assert restored.get_config() == config
    assert value(restored) == value(total)
    serialized = keras.saving.serialize_keras_object(total)
    assert serialized["registered_name"] == "keras_mhe>RegularizerSum"
    again = regularizers.get(json.loads(json.dumps(serialized)))
    assert type(again) is RegularizerSum
    assert again.get_config() == config


@pytest.mark.parametrize("total", SUMS.values(), ids=SUMS)
def test_saved_in_a_model(total, tmp_path):
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, kernel_regularizer=total)]
    )
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    restored = loaded.layers[0].kernel_regularizer
    assert restored.get_config() == total.get_config()
    expected = as_float(model.losses[0])
    assert as_float(loaded.losses[0]) == pytest.approx(expected, rel=1e-6)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert as_float(clone.losses[0]) == pytest.approx(expected, rel=1e-6)

"""Sums of regularizers with `+`."""

import json

import keras
import numpy as np
import pytest
from keras import ops, regularizers

from keras_mhe import MHE
from keras_mhe.regularizers import KoLeo, PublishedMHE, RegularizerSum
from support.tensors import as_float, dtype_of, random_array

KERNEL = random_array(4, 5)
L1, L2 = regularizers.L1(0.1), regularizers.L2(0.01)


def value(regularizer, weights=KERNEL):
    return as_float(regularizer(ops.convert_to_tensor(weights)))


def names(total):
    return [type(term).__name__ for term in total.regularizers]


@pytest.mark.parametrize("ours", [MHE(0.5), PublishedMHE("mhe", "a1"), KoLeo()])
def test_either_order(ours):
    for total, first in ((ours + L2, ours), (L2 + ours, L2)):
        assert isinstance(total, RegularizerSum)
        assert total.regularizers[0] is first
        np.testing.assert_allclose(
            value(total), value(ours) + value(L2), rtol=1e-6
        )


def test_nested_sums_are_flat():
    left = (MHE() + L2) + (L1 + MHE(2.0))
    expected = 3.0 * value(MHE()) + value(L2) + value(L1)
    np.testing.assert_allclose(value(left), expected, rtol=1e-6)
    assert names(left) == ["MHE", "L2", "L1", "MHE"]
    assert names(L1 + (L2 + MHE())) == ["L1", "L2", "MHE"]
    assert names(left + L2) == [*names(left), "L2"]
    assert names(L2 + left) == ["L2", *names(left)]


def test_what_else_can_be_added():
    assert names(MHE() + "l2") == ["MHE", "L2"]
    assert names("l1" + MHE()) == ["L1", "MHE"]
    assert names(sum([MHE(), L2, MHE(2.0)])) == ["MHE", "L2", "MHE"]
    regularizer = MHE()
    assert sum([regularizer]) is regularizer
    np.testing.assert_allclose(
        value(MHE() + ops.sum), value(MHE()) + KERNEL.sum(), rtol=1e-5
    )


@pytest.mark.parametrize("other", [3, 0.5, None, [1]])
def test_what_is_no_regularizer(other):
    for ours in (MHE(), MHE() + MHE()):
        with pytest.raises(TypeError, match="unsupported operand"):
            ours + other
        with pytest.raises(TypeError, match=r"unsupported operand|concatenate"):
            other + ours


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MHE() + "not_a_regularizer", "not_a_regularizer"),
        (lambda: RegularizerSum([]), "must hold at least two.*Received"),
        (lambda: RegularizerSum([MHE()]), "must hold at least two.*Received"),
        (
            lambda: RegularizerSum([MHE(), None]),
            "`regularizers` must hold Keras.*Received: None",
        ),
    ],
)
def test_wrong_terms(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_value_is_float32(dtype):
    weights = ops.cast(KERNEL, dtype)
    for total in (MHE() + L2, L2 + MHE()):
        assert dtype_of(total(weights)) == "float32"


SUMS = {
    "plain": MHE(0.5, neuron_axis=(0,)) + regularizers.L1L2(0.1, 0.2),
    "nested": "l2" + (PublishedMHE("half_mhe", "a2") + MHE(0.1, power=0)),
    "orthogonal": regularizers.OrthogonalRegularizer(0.1) + MHE(),
}


@pytest.mark.parametrize("total", SUMS.values(), ids=SUMS)
def test_config_round_trip(total):
    config = total.get_config()
    assert json.loads(json.dumps(config)) == config
    serialized = keras.saving.serialize_keras_object(total)
    assert serialized["registered_name"] == "keras_mhe>RegularizerSum"
    restored = regularizers.get(json.loads(json.dumps(serialized)))
    assert type(restored) is RegularizerSum
    assert restored.get_config() == config
    assert value(restored) == value(total)

"""The energy on the active backend, and its comparison with loops."""

import functools

import numpy as np

from keras_mhe.ops import hyperspherical_energy
from support import numpy_reference
from support.gradients import FASTEST, evaluator
from support.tensors import assert_near
from support.tolerances import GRADIENT, VALUE


def evaluate(weights, *, mode=FASTEST, dtype="float32", **form):
    """Value and gradient; a form is compiled once for each shape."""
    frozen = tuple(
        (name, value if isinstance(value, str) else _frozen(value))
        for name, value in sorted(form.items())
    )
    return _evaluator(mode, dtype, frozen)(weights)


def _frozen(value):
    return tuple(value) if np.iterable(value) else value


@functools.cache
def _evaluator(mode, dtype, form):
    return evaluator(
        lambda tensor: hyperspherical_energy(tensor, **dict(form)),
        mode=mode,
        dtype=dtype,
    )


def assert_value(actual, expected, rtol=VALUE["float32"]):
    """Compares energies; logarithms pass 0, where nothing is relative."""
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=2e-6)


def assert_same(actual, expected):
    """Compares values and gradients."""
    assert_value(actual.value, expected.value)
    assert_near(actual.gradient, expected.gradient, GRADIENT["float32"])


def assert_matches_loops(evaluation, weights, dtype="float32", **form):
    """Compares a value and a gradient with those of the reference."""
    expected = numpy_reference.energy(weights, **form)
    assert_value(evaluation.value, expected, VALUE[dtype])
    gradient = numpy_reference.gradient(weights, **form)
    assert_near(evaluation.gradient, gradient, GRADIENT[dtype])

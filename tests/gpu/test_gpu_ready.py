"""What can be shown of GPUs on a machine without one.

Of every public function that computes with tensors, value and gradient

- on JAX are lowered for CUDA, and call nothing but NVIDIA's libraries: no
  Python, no LAPACK, no memory of the host,
- on TensorFlow compile with XLA, as `fit` does, so that nothing in the graph
  needs Python, the host's strings or printing,
- on PyTorch run on `meta` tensors, so that they meet no tensor of the CPU and
  read no number on the host.

Nothing is computed. `docs/benchmarks/gpu.py` compares numbers on a GPU.
"""

import functools
import re
from dataclasses import dataclass

import keras
import pytest
from keras import layers, ops

from keras_mhe import MHE
from keras_mhe import ops as mhe_ops
from keras_mhe.initializers import MinimumEnergy
from keras_mhe.layers import SpectralNormalization
from keras_mhe.losses import OneVsAllCrossentropy, SampledCrossentropy
from keras_mhe.metrics import FeatureEnergy
from support.float_dtypes import CONSTRAINTS, HEADS, REGULARIZERS
from support.forms import FEW_FORMS, form_id

pytestmark = pytest.mark.slow

BACKEND = keras.backend.backend()
LABELS = ((3,), "int32")


@dataclass(frozen=True)
class Program:
    """A scalar function of tensors, given by their shapes and dtypes.

    Attributes:
        function: Called with one tensor for each entry of `floats` and
            `others`.
        floats: The tensors by which the gradient is taken.
        others: Tensors after them.
    """

    function: object
    floats: list
    others: tuple = ()

    def tensors(self, make):
        """Calls `make(shape, dtype)` for each tensor."""
        return [make(*spec) for spec in (*self.floats, *self.others)]


def specs_of(variables):
    return [(tuple(variable.shape), variable.dtype) for variable in variables]


# The check of each backend. It raises, or returns what it objects to.


def lowered_for_cuda(program):
    import jax

    floats = tuple(range(len(program.floats)))
    step = jax.jit(jax.value_and_grad(program.function, argnums=floats))
    traced = step.trace(*program.tensors(jax.ShapeDtypeStruct))
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    called = set(re.findall(r'custom_call @"?([^\s("]+)', text))
    # `cuhybrid_...` are solvers that run on the host too.
    nvidia = re.compile(r"(__)?cu(?!hybrid)\w+")
    return {name for name in called if not nvidia.fullmatch(name)}


def compiled_by_xla(program):
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def step(*tensors):
        floats = tensors[: len(program.floats)]
        with tf.GradientTape() as tape:
            tape.watch(floats)
            value = program.function(*tensors)
        return value, tape.gradient(value, floats)

    # Raises for an operation that XLA does not have.
    step.experimental_get_compiler_ir(*program.tensors(tf.TensorSpec))("hlo")
    return set()


class Meta(str):
    """Device for `keras.device`, equal to the `torch.device` of that name.

    Keras takes a tensor for one of another device where the two differ, and
    replaces it by a new one, which has no gradient.
    """

    __slots__ = ()
    __hash__ = str.__hash__

    def lower(self):
        return self

    def __eq__(self, other):
        return str(self) == str(other)

    def __ne__(self, other):
        return str(self) != str(other)


def run_on_meta(program):
    import torch

    with keras.device(Meta("meta")):
        tensors = program.tensors(
            lambda shape, dtype: torch.ones(
                shape, dtype=getattr(torch, dtype), device="meta"
            )
        )
        floats = tensors[: len(program.floats)]
        for tensor in floats:
            tensor.requires_grad_()
        value = program.function(*tensors)
        gradients = torch.autograd.grad(value, floats)
    return {one.device.type for one in (value, *gradients)} - {"meta"}


check = {
    "jax": lowered_for_cuda,
    "tensorflow": compiled_by_xla,
    "torch": run_on_meta,
}[BACKEND]


@pytest.fixture
def without_data(monkeypatch):
    """On PyTorch, draws constants, and ends each loop after one turn.

    Its generators need the device. A loop's end is decided by data, of which
    the host asks the device before each turn.
    """
    if BACKEND != "torch":
        return

    def turn_once(goes_on, turn, state):
        goes_on(*state)
        return turn(*state)

    monkeypatch.setattr(ops, "while_loop", turn_once)
    monkeypatch.setattr(
        keras.random,
        "randint",
        lambda shape, low, high, dtype, seed: ops.zeros(shape, dtype),
    )
    monkeypatch.setattr(
        keras.random, "normal", lambda shape, *_, **__: ops.ones(shape)
    )


# Programs.


def of_kernel(function, shape=(3, 3, 2, 4), dtype="float32"):
    """A scalar function of a kernel."""
    return Program(function, [(shape, dtype)])


def beside_kernel(function, dtype="float32"):
    """A function of a kernel that has no gradient, beside the kernel's sum."""

    def value(kernel):
        others = ops.sum(ops.stop_gradient(function(kernel)))
        return ops.sum(kernel) + ops.cast(others, kernel.dtype)

    return of_kernel(value, dtype=dtype)


def training_step(layer, inputs, others=(), loss=None):
    """The loss of a layer in training, with its regularizers."""
    weights = layer.trainable_variables
    state = layer.non_trainable_variables

    def function(features, *tensors):
        trainable = tensors[: len(weights)]
        values = tensors[len(weights) : len(weights) + len(state)]
        rest = tensors[len(weights) + len(state) :]
        outputs, _, penalties = layer.stateless_call(
            trainable,
            values,
            (features, *rest) if rest else features,
            training=True,
            return_losses=True,
        )
        value = loss(*rest, outputs) if loss else ops.mean(outputs)
        # Vectors of power iterations have no gradient.
        return ops.cast(value, "float32") + sum(penalties)

    return Program(
        function,
        [(inputs, "float32"), *specs_of(weights)],
        (*specs_of(state), *others),
    )


def head(name):
    layer = HEADS[name]()
    layer.build((None, 6))
    loss = {
        "ArcFace": SampledCrossentropy(),
        "SphereFace2": OneVsAllCrossentropy(),
    }.get(name, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return training_step(layer, (3, 6), (LABELS,), loss)


def normalized(policy):
    """A convolution with spectral normalization and a regularizer."""
    convolution = layers.Conv2D(4, 3, dtype=policy, kernel_regularizer=MHE())
    layer = SpectralNormalization(convolution)
    layer.build((None, 6, 6, 2))
    return training_step(layer, (2, 6, 6, 2))


def model(policy):
    network = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(
                4, 3, dtype=policy, kernel_regularizer=MHE(half_space=True)
            ),
            layers.Flatten(dtype=policy),
            layers.Dense(3, dtype=policy, kernel_regularizer=MHE(power=0)),
        ]
    )
    return training_step(network, (2, 6, 6, 2))


def feature_energy():
    """The state of the metric after a batch of features."""
    metric = FeatureEnergy(half_space=True)

    def function(features, *state):
        return sum(metric.stateless_update_state(state, None, features))

    return Program(function, [((3, 4), "float32"), *specs_of(metric.variables)])


def initial(shape, **options):
    """An initializer's kernel, beside a kernel."""
    initializer = MinimumEnergy(1.0, seed=1, **options)
    return beside_kernel(lambda _: initializer(shape))


def spectral_norm():
    """The estimated spectral norm after a power iteration."""

    def function(weights, u):
        moved_u, v = mhe_ops.power_iteration(weights, u)
        return mhe_ops.rayleigh_quotient(weights, moved_u, v)

    return Program(function, [((3, 2, 4), "float32")], (((4,), "float32"),))


def elementwise(function, argument):
    """The sum of a function of cosines."""
    return of_kernel(lambda cosine: ops.sum(function(cosine, argument)), (5,))


FUNCTIONS = {
    "additive_angular_margin": elementwise(
        mhe_ops.additive_angular_margin, 0.5
    ),
    "additive_cosine_margin": elementwise(mhe_ops.additive_cosine_margin, 0.35),
    "compressive_energy": of_kernel(
        lambda kernel: mhe_ops.compressive_energy(
            kernel, projection="adversarial", dim=3
        )
    ),
    "cosines": Program(
        lambda *tensors: ops.sum(mhe_ops.cosines(*tensors)),
        [((3, 4), "float32"), ((4, 5), "float32")],
    ),
    "covering": of_kernel(mhe_ops.covering),
    "energy_and_gradient": beside_kernel(
        lambda kernel: mhe_ops.energy_and_gradient(kernel)[1]
    ),
    "feature_norms": of_kernel(
        lambda features: ops.sum(mhe_ops.feature_norms(features)), (3, 4)
    ),
    "gram_log_determinant": of_kernel(mhe_ops.gram_log_determinant),
    "hyperspherical_energy": of_kernel(mhe_ops.hyperspherical_energy),
    "hyperspherical_gap": of_kernel(mhe_ops.hyperspherical_gap),
    "koleo": of_kernel(mhe_ops.koleo),
    "limit_spectral_norm": beside_kernel(
        lambda kernel: mhe_ops.limit_spectral_norm(kernel, 1)
    ),
    "lower_energy": beside_kernel(
        lambda kernel: mhe_ops.lower_energy(kernel, steps=3, limit=0.1)
    ),
    "minimal_angles": of_kernel(mhe_ops.minimal_angles),
    "multiplicative_angular_margin": elementwise(
        mhe_ops.multiplicative_angular_margin, 1.7
    ),
    "project_to_sphere": beside_kernel(mhe_ops.project_to_sphere),
    "polarization": of_kernel(mhe_ops.polarization),
    "power_iteration": spectral_norm(),
    "rayleigh_quotient": spectral_norm(),
    "separation": of_kernel(mhe_ops.separation),
    "similarity_adjustment": elementwise(mhe_ops.similarity_adjustment, 3.0),
    "singular_values": beside_kernel(mhe_ops.singular_values),
    "uniformity": of_kernel(mhe_ops.uniformity),
}

ENERGIES = {
    f"{form_id(form)} {more}": of_kernel(
        functools.partial(mhe_ops.hyperspherical_energy, **form, **more),
        (4, 18),
    )
    for form in FEW_FORMS
    for more in (
        {},
        {"block_size": 8},
        {"block_size": 8, "anchors": [0, 3, 3]},
        {"epsilon": 1e-4},
        {"groups": 2},
    )
}

PROGRAMS = {
    **FUNCTIONS,
    **ENERGIES,
    **{name: of_kernel(term.__call__) for name, term in REGULARIZERS.items()},
    **{
        f"{name} float16": of_kernel(term.__call__, dtype="float16")
        for name, term in REGULARIZERS.items()
    },
    **{name: beside_kernel(one) for name, one in CONSTRAINTS.items()},
    **{name: head(name) for name in HEADS},
    "FeatureEnergy": feature_energy(),
    **{
        f"{make.__name__} {policy}": make(policy)
        for make in (normalized, model)
        for policy in ("float32", "mixed_float16")
    },
    "MinimumEnergy frame": initial((3, 2, 5), half_space=True),
    "MinimumEnergy descent": initial((4, 6), steps=2, power=0),
}


def test_every_function_has_a_program():
    # Of classes `contracts/test_float_dtypes.py` tells that all are there.
    assert sorted(FUNCTIONS) == mhe_ops.__all__


@pytest.mark.usefixtures("without_data")
@pytest.mark.parametrize("name", PROGRAMS)
def test_fit_for_gpus(name):
    assert check(PROGRAMS[name]) == set()


def broken(kernel):
    """Asks the host for a number."""
    if BACKEND == "torch":
        return ops.sum(kernel) * kernel[0, 0].item()
    if BACKEND == "jax":
        import jax

        fixed = jax.lax.stop_gradient(kernel)
        return ops.sum(kernel) + jax.numpy.linalg.eigvals(fixed)[0].real
    import tensorflow as tf

    return ops.sum(tf.py_function(ops.sin, [kernel], kernel.dtype))


def test_the_check_objects():
    try:
        objections = check(of_kernel(broken, (4, 4)))
    except Exception as error:
        objections = str(error)
    assert re.search("cuhybrid_eig|EagerPyFunc|item", str(objections))

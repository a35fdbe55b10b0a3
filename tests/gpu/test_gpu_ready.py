"""That the library's programs are fit for GPUs, shown without one.

What each backend's check proves, and what only a GPU can:

- JAX: value and gradient lower for CUDA, and the lowered text calls nothing
  but NVIDIA's libraries: no Python, no LAPACK, no memory of the host. XLA's
  compiler for GPUs does not run.
- PyTorch: the value runs on fake `cuda` tensors, value and gradient on `meta`
  tensors, and no operator meets a tensor of another device, not even to move
  it, constants from Python and NumPy aside. No kernel runs, the backward pass
  is seen on `meta` only, and code that asks whether tensors have values takes
  the way of those that have none.
  Loops whose end the data decide ask the device before each turn, on
  TensorFlow without XLA too; on PyTorch they turn once here.
- TensorFlow: every operation in the graph of value and gradient, and in the
  functions that it calls, has a kernel for GPUs for its types, and one for
  XLA on GPUs; none is an operation of the host; and the host never waits for
  a number from the device. The kernels are those that TensorFlow's CUDA build
  registers: read there, or from a table made with it where the tests run on
  the build for CPUs. The graph is the one traced, before Grappler, and copies
  of integers from the host to the device are not counted.

A new public name needs an entry in `PROGRAMS`.
"""

import contextlib
import importlib
import pkgutil
import re
from itertools import product
from unittest import mock

import keras
import pytest
from keras import layers, ops

import keras_mhe
from gpu.controls import BROKEN, SOUND
from gpu.programs import CHECKS, Program
from keras_mhe import MHE
from keras_mhe.constraints import (
    EnergyDescent,
    MaxEnergy,
    SpectralNorm,
    UnitSphere,
)
from keras_mhe.functional import (
    additive_angular_margin,
    additive_cosine_margin,
    compressive_energy,
    cosines,
    covering,
    energy_and_gradient,
    feature_norms,
    gram_log_determinant,
    hyperspherical_energy,
    limited_spectral_norm,
    lowered_energy,
    multiplicative_angular_margin,
    on_sphere,
    polarization,
    power_iteration,
    rayleigh_quotient,
    separation,
    similarity_adjustment,
    singular_values,
    uniformity,
)
from keras_mhe.initializers import MinimumEnergy
from keras_mhe.layers import SpectralNormalization, held_singular_vectors
from keras_mhe.losses import OneVsAllCrossentropy, SampledCrossentropy
from keras_mhe.metrics import FeatureEnergy
from keras_mhe.regularizers import (
    AddedRegularizer,
    CompressiveMHE,
    Covering,
    GramDeterminant,
    Polarization,
    RegularizerSum,
    Separation,
    Uniformity,
)
from support.forms import form_id
from support.heads import DIM, HEADS, SOFTMAX_HEADS

pytestmark = pytest.mark.slow

#: They look at a model between its steps, with NumPy.
OFF_THE_DEVICE = {"analysis", "callbacks", "models", "plots", "reports"}
#: They take what a model made, with NumPy.
AFTER_THE_MODEL = {"metrics.Verification", "metrics.verify_pairs"}

PUBLIC = {
    f"{package.name}.{name}"
    for package in pkgutil.iter_modules(keras_mhe.__path__)
    if package.ispkg
    and not package.name.startswith("_")
    and package.name not in OFF_THE_DEVICE
    for name in importlib.import_module(f"keras_mhe.{package.name}").__all__
} - AFTER_THE_MODEL

FORMS = [
    {"power": power, "distance": distance, "half_space": half_space}
    for power, distance, half_space in product(
        (0, 0.5, 2), ("euclidean", "angular"), (False, True)
    )
]
#: TensorFlow: Keras casts the seed of random numbers, of Dropout's too, on the
#: device, and the operation that takes it reads it on the host.
KERAS_SEEDS = {
    "StatelessRandomGetKeyCounter reads on the host what Cast computed"
}

#: TensorFlow reads the condition of a loop on the host.
LOOPS = {"LogicalAnd returns to the host"}
#: What an initializer does once is not worth another way.
ONCE = {
    "MatrixDiagPartV3 reads on the host what Const computed",
    "Qr reads on the host what StridedSlice computed",
    "Qr reads on the host what Transpose computed",
}
#: What is accepted of one public name.
ACCEPTED = {
    "constraints.EnergyDescent": LOOPS,
    "constraints.MaxEnergy": LOOPS,
    "functional.lowered_energy": LOOPS,
    "initializers.MinimumEnergy": LOOPS | ONCE,
}

BOTH_SPACES = [form for form in FORMS if form["power"] == 2]


def energy(
    name,
    shape=(4, 6),
    num_anchors=None,
    num_others=None,
    dtype="float32",
    **form,
):
    """The energy of a kernel, with indices that are known to be traced."""

    def function(weights, anchors=None, others=None):
        return hyperspherical_energy(
            weights, anchors=anchors, others=others, **form
        )

    sizes = [size for size in (num_anchors, num_others) if size is not None]
    indices = tuple((size,) for size in sizes)
    return Program(name, function, (shape,), indices, dtype)


def tiled_energies():
    """Energies of whole and of cut tiles."""
    for num_neurons, form in product((40, 41), BOTH_SPACES):
        name = f"tiles-{num_neurons}-{form_id(form)}"
        yield energy(name, (4, num_neurons), block_size=8, **form)
    for half_space in (False, True):
        form = {"half_space": half_space, "block_size": 8}
        space = "half" if half_space else "full"
        yield energy(f"tiles-anchors-{space}", (4, 41), num_anchors=9, **form)
        yield energy(f"tiles-groups-{space}", (4, 82), groups=2, **form)


def penalty(name, regularizer, dtype="float32"):
    """A regularizer's term for the kernel of a convolution."""
    return Program(name, regularizer.__call__, ((3, 3, 2, 4),), dtype=dtype)


def training_step(policy):
    """The loss of a small model that is regularized in every layer."""
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(
                4, 3, dtype=policy, kernel_regularizer=MHE(half_space=True)
            ),
            layers.Flatten(dtype=policy),
            layers.Dense(
                3,
                dtype=policy,
                kernel_regularizer=MHE(power=0) + keras.regularizers.L2(1e-3),
            ),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def function(*arguments):
        *variables, images, labels = arguments
        logits, _, penalties = model.stateless_call(
            variables, [], images, training=True, return_losses=True
        )
        return loss(labels, ops.cast(logits, "float32")) + sum(penalties)

    shapes = [tuple(variable.shape) for variable in model.trainable_variables]
    return Program(
        f"step-{policy}", function, (*shapes, (2, 6, 6, 2)), integers=((2,),)
    )


def elementwise(function, argument, **options):
    """The sum of a function of cosines."""
    return Program(
        f"{argument}-{'-'.join(options)}",
        lambda cosine: ops.sum(function(cosine, argument, **options)),
        ((5,),),
    )


def numbers_without_generator():
    """On PyTorch, whose generators need the device, draws zeros."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    return mock.patch.object(
        keras.random,
        "randint",
        lambda shape, low, high, dtype, seed: ops.zeros(shape, dtype),
    )


def loops_of_one_turn():
    """On PyTorch, where the host asks the device whether a loop goes on."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()

    def turn_once(goes_on, step, state):
        goes_on(*state)
        return step(*state)

    return mock.patch.object(ops, "while_loop", turn_once)


def head(name, training=True, policy="float32", **options):
    """The mean logit of a head, or its loss of a training step."""
    layer = HEADS[name](dtype=policy, **options)
    layer.build((None, DIM))
    loss = OneVsAllCrossentropy() if "2" in name else SampledCrossentropy()

    def function(features, *rest):
        trainable = rest[: len(layer.trainable_variables)]
        labels, *state = rest[len(trainable) :]
        state = [
            ops.cast(value, variable.dtype)
            for value, variable in zip(
                state, layer.non_trainable_variables, strict=True
            )
        ]
        with numbers_without_generator():
            logits, _, penalties = layer.stateless_call(
                trainable,
                state,
                (features, labels),
                training=training,
                return_losses=True,
            )
        if not training:
            return ops.mean(logits)
        return loss(labels, logits) + sum(penalties)

    shapes = [tuple(weight.shape) for weight in layer.trainable_variables]
    state = [tuple(weight.shape) for weight in layer.non_trainable_variables]
    kind = "training" if training else "plain"
    return Program(
        f"{name}-{kind}-{policy}-{'-'.join(options)}",
        function,
        ((3, DIM), *shapes),
        ((3,), *state),
    )


def heads(prefix):
    """All programs of one head."""
    for name in HEADS:
        if name.split("-")[0] != prefix:
            continue
        yield head(name, training=False)
        yield head(name, energy=MHE(), kernel_regularizer=MHE(half_space=True))
        yield head(name, policy="mixed_float16", energy=MHE(half_space=True))
        if name in SOFTMAX_HEADS:
            yield head(name, sample_rate=0.4, energy=MHE(), energy_warmup=5)


def feature_energy():
    """The state of the metric after a batch of features."""
    metric = FeatureEnergy(half_space=True)

    def function(features, *state):
        return sum(metric.stateless_update_state(state, None, features))

    shapes = [tuple(variable.shape) for variable in metric.variables]
    return Program("batch", function, ((3, 4), *shapes))


def of_a_kernel(name, function, dtype="float32"):
    """A function without a gradient, beside the sum of the kernel."""

    def value(w):
        with loops_of_one_turn():
            return ops.sum(w) + ops.sum(ops.stop_gradient(function(w)))

    return Program(name, value, ((3, 3, 2, 4),), dtype=dtype)


def relative(name, function, **options):
    """One of the relatives of the energy, in half space and in groups."""
    return [
        Program(
            "-".join(map(str, (name, *form.values(), *options.values()))),
            lambda w, form=form: function(w, **options, **form),
            ((3, 3, 2, 4),),
        )
        for form in ({"half_space": False}, {"half_space": True, "groups": 2})
    ]


def initial(name, shape, **options):
    """An initializer's kernel, from normal numbers that are given."""
    initializer = MinimumEnergy(1.0, **options)

    def function(normal):
        drawn = mock.patch.object(keras.random, "normal", return_value=normal)
        with drawn, loops_of_one_turn():
            kernel = initializer(shape)
        return ops.sum(normal) + ops.sum(ops.stop_gradient(kernel))

    return Program(name, function, (shape,))


def spectral_sigma(**options):
    """The estimated spectral norm after a power iteration."""

    def function(weights, u):
        moved_u, v = power_iteration(weights, u, **options)
        # It has no gradient by the vector that it begins with.
        return rayleigh_quotient(weights, moved_u, v) + 0.0 * ops.sum(u)

    return Program(f"sigma-{'-'.join(options)}", function, ((3, 2, 4), (4,)))


def spectral_normalization(training, policy="float32", is_held=False):
    """The mean output of a normalized convolution, with its regularizer."""
    layer = SpectralNormalization(
        layers.Conv2D(4, 3, dtype=policy, kernel_regularizer=MHE())
    )
    layer.build((None, 6, 6, 2))

    def function(images, *arguments):
        count = len(layer.trainable_variables)
        with held_singular_vectors() if is_held else contextlib.nullcontext():
            outputs, _, penalties = layer.stateless_call(
                arguments[:count],
                arguments[count:],
                images,
                training=training,
                return_losses=True,
            )
        # The vectors have no gradient.
        nothing = sum(0.0 * ops.sum(value) for value in arguments[count:])
        return ops.mean(ops.cast(outputs, "float32")) + sum(penalties) + nothing

    variables = [*layer.trainable_variables, *layer.non_trainable_variables]
    return Program(
        f"{'training' if training else 'plain'}-{policy}-{is_held}",
        function,
        ((2, 6, 6, 2), *[tuple(variable.shape) for variable in variables]),
    )


SPECTRAL_NORMALIZATION = [
    spectral_normalization(training=False),
    spectral_normalization(training=True),
    spectral_normalization(training=True, policy="mixed_float16"),
]
SIGMA = [spectral_sigma(), spectral_sigma(iterations=2, stop_gradient=False)]


def loss_of(loss):
    return Program("loss", lambda z, y: loss(y, z), ((3, 4),), ((3,),))


PROGRAMS = {
    "constraints.EnergyDescent": [
        of_a_kernel(f"{policy}", EnergyDescent(half_space=True), policy)
        for policy in ("float32", "float16")
    ],
    "constraints.MaxEnergy": [of_a_kernel("gap", MaxEnergy(gap=0.5))],
    "constraints.UnitSphere": [of_a_kernel("radius", UnitSphere(2.0))],
    "constraints.SpectralNorm": [
        of_a_kernel(f"{mode}-{dtype}", SpectralNorm(0.5, mode=mode), dtype)
        for mode in ("scale", "clip")
        for dtype in ("float32", "float16")
    ],
    "functional.additive_angular_margin": [
        elementwise(additive_angular_margin, 0.5),
        elementwise(additive_angular_margin, 0.5, gradient_detachment=True),
    ],
    "functional.additive_cosine_margin": [
        elementwise(additive_cosine_margin, 0.35)
    ],
    "functional.compressive_energy": [
        program
        for kind in ("random", "angle_preserving", "adversarial")
        for program in relative(
            "energy", compressive_energy, projection=kind, dim=3
        )
    ],
    "functional.cosines": [
        Program(
            dtype,
            lambda features, kernel: ops.sum(cosines(features, kernel)),
            ((3, 4), (4, 5)),
            dtype=dtype,
        )
        for dtype in ("float32", "float16")
    ],
    "functional.covering": relative("covering", covering, steps=2),
    "functional.energy_and_gradient": [
        of_a_kernel(dtype, lambda w: energy_and_gradient(w)[1], dtype)
        for dtype in ("float32", "float16")
    ],
    "functional.feature_norms": [
        Program("norms", lambda x: ops.sum(feature_norms(x)), ((3, 4),))
    ],
    "functional.gram_log_determinant": relative("log", gram_log_determinant),
    "functional.limited_spectral_norm": [
        of_a_kernel(
            "transposed", lambda w: limited_spectral_norm(w, 1, neuron_axis=-2)
        )
    ],
    "functional.lowered_energy": [
        of_a_kernel("limit", lambda w: lowered_energy(w, steps=3, limit=0.1)),
        of_a_kernel("groups", lambda w: lowered_energy(w, groups=2)),
    ],
    "functional.on_sphere": [of_a_kernel("unit", on_sphere)],
    "functional.polarization": relative("lowest", polarization, steps=2),
    "functional.power_iteration": SIGMA,
    "functional.rayleigh_quotient": SIGMA,
    "functional.separation": [
        *relative("nearest", separation),
        *relative("smallest", separation, per_neuron=False),
    ],
    "functional.uniformity": relative("mean", uniformity),
    "functional.singular_values": [of_a_kernel("values", singular_values)],
    "functional.multiplicative_angular_margin": [
        elementwise(multiplicative_angular_margin, 4),
        elementwise(multiplicative_angular_margin, 1.7),
    ],
    "functional.similarity_adjustment": [
        elementwise(similarity_adjustment, 3.0)
    ],
    **{
        f"layers.{name}": list(heads(name))
        for name in sorted({name.split("-")[0] for name in HEADS})
    },
    "layers.SpectralNormalization": SPECTRAL_NORMALIZATION,
    "layers.held_singular_vectors": [
        spectral_normalization(training=True, is_held=True)
    ],
    "metrics.FeatureEnergy": [feature_energy()],
    "initializers.MinimumEnergy": [
        initial("simplex", (4, 5)),
        initial("cross-polytope", (4, 8)),
        initial("frame", (3, 2, 5), half_space=True),
        initial("descent", (4, 6), steps=2, power=0),
    ],
    "losses.OneVsAllCrossentropy": [loss_of(OneVsAllCrossentropy())],
    "losses.SampledCrossentropy": [loss_of(SampledCrossentropy())],
    "functional.hyperspherical_energy": [
        *[energy(form_id(form), **form) for form in FORMS],
        *[energy(dtype, dtype=dtype) for dtype in ("float16", "bfloat16")],
        energy("axes", (2, 3, 4), neuron_axis=(2, 0)),
        energy("one-neuron", (4, 1), half_space=True),
        *[
            energy(f"epsilon-{form_id(form)}", epsilon=1e-4, **form)
            for form in BOTH_SPACES
        ],
        *[
            energy(f"groups-{form_id(form)}", groups=2, **form)
            for form in BOTH_SPACES
        ],
        *[
            energy(f"anchors-{form_id(form)}", num_anchors=3, **form)
            for form in BOTH_SPACES
        ],
        energy("anchors-groups", num_anchors=3, groups=2),
        *[
            energy(
                f"drawn-{form_id(form)}", num_anchors=3, num_others=4, **form
            )
            for form in BOTH_SPACES
        ],
        *tiled_energies(),
    ],
    "regularizers.MHE": [
        penalty("full", MHE()),
        penalty("float16", MHE(half_space=True), "float16"),
        penalty("depthwise", MHE(neuron_axis=(-2, -1), groups=2)),
        training_step("float32"),
        training_step("mixed_float16"),
    ],
    "regularizers.AddedRegularizer": [
        penalty("both", AddedRegularizer("l2", MHE())),
        penalty("alone", AddedRegularizer(None, MHE()), "float16"),
    ],
    "regularizers.CompressiveMHE": [penalty("random", CompressiveMHE(dim=3))],
    "regularizers.Covering": [penalty("full", Covering(steps=2))],
    "regularizers.GramDeterminant": [penalty("full", GramDeterminant())],
    "regularizers.Polarization": [penalty("full", Polarization(steps=2))],
    "regularizers.Separation": [penalty("full", Separation())],
    "regularizers.Uniformity": [penalty("full", Uniformity())],
    "regularizers.PublishedGANMHE": [
        penalty("gan", MHE.from_reference("gan")),
    ],
    "regularizers.PublishedMHE": [
        penalty(f"half-{power_s}", MHE.from_reference("half_mhe", power_s))
        for power_s in ("0", "1", "2", "a0", "a1", "a2")
    ],
    "regularizers.RegularizerSum": [
        penalty("sum", RegularizerSum([MHE(), "l2"])),
        penalty("float16", RegularizerSum([MHE(), "l2"]), "float16"),
    ],
}


def test_every_public_name_has_programs():
    assert sorted(PROGRAMS) == sorted(PUBLIC)
    assert all(PROGRAMS.values())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("name", "program"),
    [
        pytest.param(name, program, id=f"{name}-{program.name}")
        for name, programs in PROGRAMS.items()
        for program in programs
    ],
)
def test_fit_for_gpus(name, program, check):
    accepted = KERAS_SEEDS | ACCEPTED.get(name, set())
    objections = set(check(program)) - accepted
    assert not objections, "\n".join(objections)


# The checks themselves.


@pytest.mark.parametrize("name", BROKEN)
def test_check_objects(name):
    check, program, pattern = BROKEN[name]
    try:
        objections = check(program)
    except Exception as error:
        objections = [f"{type(error).__name__}: {error}"]
    assert re.search(pattern, "\n".join(objections)), objections


@pytest.mark.parametrize("name", SOUND)
def test_check_passes(name):
    check, program = SOUND[name]
    assert check(program) == []

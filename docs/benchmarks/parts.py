"""The parts of the measurement; each returns what its JSON file keeps."""

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import keras
import numpy as np
from keras import ops

import runs
from benchmarks import memory
from benchmarks.cases import FORMS, Plan
from benchmarks.frameworks import (
    MODES,
    compiled,
    forget_compiled,
    value_and_grad,
    wait,
)
from benchmarks.textbook import textbook_energy, two_products
from benchmarks.timing import interleaved, ratio, significant
from cifar100 import RECIPES, Options, cnn9, compile_model
from keras_mhe import MHE
from keras_mhe.ops import hyperspherical_energy

NUM_CLASSES = 100


def speed(plan: Plan) -> Iterator[dict[str, Any]]:
    """The library, the textbook and the two products alone."""
    for case in plan.speed:
        for mode in _modes(plan):
            if mode == "compile" and not case["also_compile"]:
                continue
            form = FORMS[case["form"]]
            form = {**form, "half_space": case["half_space"]}
            functions = {"library": hyperspherical_energy}
            functions["textbook"] = textbook_energy
            if case["form"] == "s=2":
                functions["by_hand"] = _by_hand
            weights = _random(case["dim"], case["num_neurons"])
            forget_compiled()
            contenders = {
                name: _run(value_and_grad(_with(function, form), mode), weights)
                for name, function in functions.items()
            }
            contenders["products"] = _run(compiled(two_products, mode), weights)
            times, errors = _times(plan, contenders)
            yield {**case, "mode": mode, **_summary(times, errors)}


def blocks(plan: Plan) -> Iterator[dict[str, Any]]:
    """All pairs at once against tiles, and what `"auto"` takes."""
    mode = MODES[0]
    for case in plan.blocks:
        weights = _random(case["dim"], case["num_neurons"])
        sizes = {"dense": case["num_neurons"]}
        sizes |= {str(tile): tile for tile in case["tiles"]}
        sizes["auto"] = "auto"
        contenders = {
            name: _run(
                value_and_grad(
                    _with(hyperspherical_energy, {"block_size": size}), mode
                ),
                weights,
            )
            for name, size in sizes.items()
        }
        times, errors = _times(plan, contenders)
        yield {
            "dim": case["dim"],
            "num_neurons": case["num_neurons"],
            "mode": mode,
            "over_dense": {
                name: ratio(seconds, times["dense"])
                for name, seconds in times.items()
            },
            "errors": errors,
        }


def kernels(plan: Plan) -> Iterator[dict[str, Any]]:
    """CNN-9's kernels against their two products; first all, then each."""
    found = _kernels(_model("baseline", plan))
    if plan.is_quick:
        found = {name: found[name] for name in ("conv1_1", "classifier")}
    for mode in _modes(plan):
        forget_compiled()
        yield {
            "kernel": "all",
            "mode": mode,
            **_against_products(found, plan, mode),
        }
    for kernel in found.items():
        shape = kernel[1].shape
        yield {
            "kernel": kernel[0],
            "num_neurons": shape[-1],
            "dim": int(np.prod(shape[:-1])),
            "mode": MODES[0],
            **_against_products(dict([kernel]), plan, MODES[0]),
        }


def step(plan: Plan) -> Iterator[dict[str, Any]]:
    """Training steps of CNN-9 with half-space MHE and without, in turns."""
    batch, image = plan.step["batch"], plan.step["image"]
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (batch, image, image, 3))
    images = images.astype("float32")
    labels = np.eye(NUM_CLASSES, dtype="float32")[
        generator.integers(0, NUM_CLASSES, batch)
    ]
    models = {name: _model(name, plan) for name in ("baseline", "half_mhe")}
    for name, model in models.items():
        compile_model(model, _options(name, plan), 1000)
    steps = {
        name: _training_step(model, images, labels)
        for name, model in models.items()
    }
    regularizer = _run(
        value_and_grad(_published_terms, MODES[0]),
        *_kernels(models["half_mhe"]).values(),
    )
    for run in (*steps.values(), regularizer):
        for _ in range(2):
            run()
    times: dict[str, list[float]] = {"regularizer": []}
    times |= {name: [] for name in steps}
    for index in range(plan.step["rounds"]):
        # Who comes first changes from round to round.
        for name in sorted(steps, reverse=bool(index % 2)):
            times[name].append(_seconds(steps[name]))
        times["regularizer"].append(_seconds(regularizer))
    yield {
        **plan.step,
        "mode": MODES[0],
        "slower": ratio(times["half_mhe"], times["baseline"]),
        "regularizer_over_step": ratio(times["regularizer"], times["baseline"]),
        "seconds": _medians(times),
    }


def memory_cases(plan: Plan) -> Iterator[dict[str, Any]]:
    """Peak memory of the large cases."""
    for case in plan.memory:
        job = {**case, "square": plan.square}
        yield {**case, "mode": MODES[0], **memory.measure(job)}


def scaling(plan: Plan) -> Iterator[dict[str, Any]]:
    """Time and memory by the number of neurons."""
    # A new process for each takes long to start.
    measure = memory.run if plan.is_quick else memory.measure
    for case in plan.scaling:
        job = {**case, "num_anchors": 0, "square": plan.square}
        yield {**case, "mode": MODES[0], **measure(job)}


PARTS: dict[str, Callable[[Plan], Iterator[dict[str, Any]]]] = {
    "speed": speed,
    "blocks": blocks,
    "kernels": kernels,
    "step": step,
    "memory": memory_cases,
    "scaling": scaling,
}


def _modes(plan: Plan) -> tuple[str, ...]:
    return MODES[:1] if plan.is_quick else MODES


def _random(*shape: int) -> Any:
    generator = np.random.default_rng(0)
    return ops.convert_to_tensor(
        generator.standard_normal(shape, dtype="float32")
    )


def _with(
    function: Callable[..., Any], arguments: dict[str, Any]
) -> Callable[[Any], Any]:
    return lambda weights: function(weights, **arguments)


def _by_hand(weights: Any, **form: Any) -> Any:
    return textbook_energy(weights, by_hand=True, **form)


def _run(function: Callable[..., Any], *tensors: Any) -> Callable[[], None]:
    return lambda: wait(function(*tensors))


def _seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _times(plan: Plan, contenders: dict[str, Callable[[], None]]) -> Any:
    return interleaved(
        contenders, rounds=plan.rounds, least_seconds=plan.least_seconds
    )


def _medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: significant(median(all_)) for name, all_ in times.items()}


def _summary(
    times: dict[str, list[float]], errors: dict[str, str]
) -> dict[str, Any]:
    """Medians and ratios: others over ours, and ours over the products."""
    ratios = {}
    if "library" in times:
        ratios = {
            name: ratio(seconds, times["library"])
            for name, seconds in times.items()
            if name in ("textbook", "by_hand")
        }
        if "products" in times:
            ratios["over_products"] = ratio(times["library"], times["products"])
    return {"ratios": ratios, "seconds": _medians(times), "errors": errors}


def _model(name: str, plan: Plan) -> keras.Model:
    size = plan.step["image"]
    keras.utils.set_random_seed(0)
    return cnn9((size, size, 3), NUM_CLASSES, _options(name, plan))


def _options(name: str, plan: Plan) -> Options:
    options = Options(
        model_name=name,
        recipe="published",
        learning_rate=0.01,
        width=plan.step["width"],
    )
    return runs.filled(options, RECIPES["published"])


def _kernels(model: keras.Model) -> dict[str, Any]:
    """Tensors of the kernels, the classifier's last."""
    return {
        layer.name: ops.convert_to_tensor(ops.convert_to_numpy(layer.kernel))
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    }


def _against_products(
    found: dict[str, Any], plan: Plan, mode: str
) -> dict[str, Any]:
    is_half_space = [name != "classifier" for name in found]

    def energies(*kernels: Any) -> Any:
        terms = zip(kernels, is_half_space, strict=True)
        return sum(
            hyperspherical_energy(kernel, power=2, half_space=half_space)
            for kernel, half_space in terms
        )

    contenders = {
        "library": _run(value_and_grad(energies, mode), *found.values()),
        "products": _run(compiled(two_products, mode), *found.values()),
    }
    return _summary(*_times(plan, contenders))


def _published_terms(*kernels: Any) -> Any:
    *hidden, classifier = kernels
    term = MHE.from_reference("half_mhe", "2")
    output_term = MHE.from_reference("half_mhe", "2", output_layer=True)
    return output_term(classifier) + sum(term(kernel) for kernel in hidden)


def _training_step(
    model: keras.Model, images: np.ndarray, labels: np.ndarray
) -> Callable[[], None]:
    def run() -> None:
        model.train_on_batch(images, labels)
        # The step is over when its weights are there.
        ops.convert_to_numpy(model.trainable_variables[-1])

    return run

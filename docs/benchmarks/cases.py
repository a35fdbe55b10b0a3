"""What is measured: forms, sizes and targets, in full and as a quick check."""

from dataclasses import dataclass
from typing import Any

#: Times that the textbook's time must be ours, at least.
TARGETS = {
    "full": {"jax": 2.0, "torch": 1.8, "tensorflow": 1.6},
    "half": {"jax": 7.0, "torch": 6.5, "tensorflow": 5.5},
    "full_forms": {"jax": 1.5, "torch": 1.3, "tensorflow": 1.3},
    "half_forms": {"jax": 5.0, "torch": 4.5, "tensorflow": 4.0},
    "full_layer": {"jax": 1.0, "torch": 1.0, "tensorflow": 1.0},
    "half_layer": {"jax": 2.0, "torch": 2.0, "tensorflow": 2.0},
}
#: Time of CNN-9's kernels over that of their matrix products, at most.
KERNELS_TARGET = 1.5
#: What a training step of CNN-9 may take longer.
STEP_TARGET = 0.03

GIB = 1024**3
FORMS = {
    "s=2": {"power": 2, "distance": "euclidean"},
    "log": {"power": 0, "distance": "euclidean"},
    "angular log": {"power": 0, "distance": "angular"},
    "angular s=1": {"power": 1, "distance": "angular"},
    "angular s=2": {"power": 2, "distance": "angular"},
}


@dataclass(frozen=True)
class Plan:
    """Sizes of all parts."""

    speed: list[dict[str, Any]]
    memory: list[dict[str, Any]]
    scaling: list[dict[str, Any]]
    blocks: list[dict[str, Any]]
    rounds: int
    least_seconds: float
    step: dict[str, Any]
    square: int
    #: Only Keras' own way to compile, and few of the kernels.
    is_quick: bool = False


def full_plan() -> Plan:
    """The measurement that the page on speed shows."""
    sizes = (1000, 2000, 4000, 8000, 16_000, 30_000, 60_000)
    largest = {
        ("library", 64): 60_000,
        ("textbook", 64): 8000,
    }
    return Plan(
        speed=[
            *_speed("full", 4096, 512),
            *_speed("half", 2048, 512),
            *_layer(64, 576),
            *_layer(256, 2304),
        ],
        memory=[
            _memory("all_pairs", 60_000, 32, 0, 1.0),
            _memory("anchors", 1_000_000, 64, 256, 2.5),
        ],
        scaling=[
            {"implementation": name, "dim": dim, "num_neurons": size}
            for (name, dim), most in largest.items()
            for size in sizes
            if size <= most
        ],
        blocks=[
            {
                "dim": dim,
                "num_neurons": size,
                "tiles": [tile for tile in (256, 512, 1024) if tile < size],
            }
            for dim in (512, 64)
            for size in (256, 512, 1024, 2048, 4096)
        ],
        rounds=5,
        least_seconds=0.05,
        step={"image": 32, "width": 1.0, "batch": 128, "rounds": 15},
        square=2048,
    )


def quick_plan() -> Plan:
    """Says nothing about speed; shows that everything runs."""
    return Plan(
        speed=[
            *_speed("full", 48, 8)[:1],
            *_speed("half", 32, 8)[2:3],
        ],
        memory=[_memory("anchors", 3000, 8, 4, 1.0)],
        scaling=[{"implementation": "library", "dim": 64, "num_neurons": 1100}],
        blocks=[{"dim": 8, "num_neurons": 64, "tiles": [32]}],
        rounds=2,
        least_seconds=0.0,
        step={"image": 8, "width": 1 / 16, "batch": 4, "rounds": 2},
        square=64,
        is_quick=True,
    )


def _speed(space: str, num_neurons: int, dim: int) -> list[dict[str, Any]]:
    return [
        {
            "group": space if form == "s=2" else f"{space}_forms",
            "form": form,
            "half_space": space == "half",
            "num_neurons": num_neurons,
            "dim": dim,
            # What takes torch.compile long is measured where it matters.
            "also_compile": space == "half" and form == "s=2",
        }
        for form in FORMS
    ]


def _layer(num_neurons: int, dim: int) -> list[dict[str, Any]]:
    return [
        {
            "group": f"{space}_layer",
            "form": "s=2",
            "half_space": space == "half",
            "num_neurons": num_neurons,
            "dim": dim,
            "also_compile": True,
        }
        for space in ("full", "half")
    ]


def _memory(
    name: str, num_neurons: int, dim: int, num_anchors: int, target: float
) -> dict[str, Any]:
    return {
        "case": name,
        "implementation": "library",
        "num_neurons": num_neurons,
        "dim": dim,
        "num_anchors": num_anchors,
        "target_gib": target,
    }

"""Names, cells and tables of what has been measured."""

from collections.abc import Iterator
from typing import Any

from benchmarks.cases import GIB

Results = dict[str, dict[str, Any]]

NAMES = {"jax": "JAX", "torch": "PyTorch", "tensorflow": "TensorFlow"}
MODES = {
    "jit": "JAX, `jit`",
    "eager": "PyTorch, eager",
    "compile": "PyTorch, `compile`",
    "graph": "TensorFlow, graph",
    "xla": "TensorFlow, XLA",
}


def line(part: str, result: dict[str, Any]) -> str:
    """One result as a line of the program's output."""
    if part == "speed":
        text = f"{case_of(result)}, {result['mode']}: textbook / library "
        text += _spread(result["ratios"].get("textbook"))
        if "by_hand" in result["ratios"]:
            text += f", by hand {_spread(result['ratios']['by_hand'])}"
        text += ", library / products "
        text += _spread(result["ratios"].get("over_products"))
    elif part == "blocks":
        times = (
            f"{name} {values[0]:.2f}"
            for name, values in result["over_dense"].items()
        )
        text = f"N={result['num_neurons']}, d={result['dim']}, over dense: "
        text += ", ".join(times)
    elif part == "kernels":
        text = f"{result['kernel']}, {result['mode']}: library / products "
        text += _spread(result["ratios"].get("over_products"))
    elif part == "step":
        share = result["regularizer_over_step"][0]
        text = f"with / without {_spread(result['slower'], 4)}, "
        text += f"regularizer alone / step {share:.4f}"
    elif "error" in result:
        text = str(result)
    else:
        text = (
            f"{result['implementation']}, N={result['num_neurons']:,}, "
            f"d={result['dim']}: {result['added_bytes'] / GIB:.3f} GiB added, "
            f"{over_limit(result, 4):.2f} times the two products"
        )
    for name, message in (result.get("errors") or {}).items():
        text += f"\n    {name} failed: {message}"
    return text


def case_of(row: dict[str, Any]) -> str:
    space = "half" if row["half_space"] else "full"
    return f"{space}, {row['form']}, N={row['num_neurons']}, d={row['dim']}"


def cell(
    row: dict[str, Any] | None,
    value: list[float] | None,
    target: float | None,
    most: bool = False,
) -> str:
    if row is None:
        return ""
    if value is None:
        return "failed" if row["errors"] else ""
    text = f"{value[0]:.2f}"
    if target is None:
        return text
    if not is_met(value[0], target, most):
        text = f"**{text}**"
    return f"{text} / {target:g}"


def is_met(value: float, target: float, most: bool) -> bool:
    return value <= target if most else value >= target


def over_limit(row: dict[str, Any], factor: int) -> float:
    operations = factor * row["num_neurons"] ** 2 * row["dim"]
    if row.get("num_anchors"):
        operations *= row["num_anchors"] / row["num_neurons"]
    return row["seconds"] * row["flops"] / operations


def _spread(values: list[float] | None, digits: int = 2) -> str:
    if values is None:
        return "not measured"
    middle, low, high = (f"{value:.{digits}f}" for value in values)
    return f"{middle} ({low} to {high})"


def rows_of(results: Results, part: str) -> Iterator[dict[str, Any]]:
    for result in results.values():
        yield from result.get(part, [])


def columns_of(results: Results, part: str) -> list[tuple[str, str]]:
    pairs = (
        (backend, row["mode"])
        for backend, result in results.items()
        for row in result.get(part, [])
    )
    return unique(pairs)


def find(
    results: Results, backend: str, part: str, **fields: Any
) -> dict[str, Any] | None:
    for row in results[backend].get(part, []):
        if all(row.get(name) == value for name, value in fields.items()):
            return row
    return None


def unique(values: Any) -> list[Any]:
    return list(dict.fromkeys(values))


def table_of(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return "(not measured)"
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

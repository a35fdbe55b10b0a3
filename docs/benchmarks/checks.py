"""Comparisons with the targets, and why some are missed."""

from collections.abc import Iterator
from typing import Any

from benchmarks.cases import GIB, KERNELS_TARGET, STEP_TARGET, TARGETS
from benchmarks.tables import MODES, NAMES, Results, case_of, is_met

WHY_KERNELS = (
    "The kernels are small, so that the operations on pairs and the calls "
    "themselves weigh as much as the products. One pass over all kernels, or "
    "a fused operation for the potential, would be needed."
)
WHY_MEMORY = "The buffers of the weights' own size weigh more than the tiles."


def checks(results: Results) -> Iterator[tuple[str, str, str, bool]]:
    """Every comparison with a target: what, measured, why, whether met."""
    for backend, result in results.items():
        for row in result.get("speed", []):
            target = TARGETS[row["group"]][backend]
            value = row["ratios"].get("textbook")
            label = f"{MODES[row['mode']]}, {case_of(row)}"
            if value is None:
                why = "; ".join(row["errors"].values())
                yield label, "not measured", why, False
                continue
            number = f"{value[0]:.2f} instead of {target:g} times faster"
            yield label, number, _why_slow(row, target), value[0] >= target
        for row in result.get("kernels", []):
            if row["kernel"] != "all":
                continue
            value = row["ratios"].get("over_products")
            label = f"{MODES[row['mode']]}, kernels of CNN-9"
            if value is None:
                why = "; ".join(row["errors"].values())
                yield label, "not measured", why, False
                continue
            number = f"{value[0]:.2f} instead of {KERNELS_TARGET} products"
            met = is_met(value[0], KERNELS_TARGET, most=True)
            yield label, number, WHY_KERNELS, met
        for row in result.get("step", []):
            slower = row["slower"][0] - 1
            share = row["regularizer_over_step"][0]
            label = f"{MODES[row['mode']]}, training step"
            number = f"{100 * slower:.1f} % instead of {100 * STEP_TARGET:g} %"
            why = (
                f"The terms alone take {100 * share:.2f} % of a step; what "
                "goes beyond them is what the step does around the terms, "
                "and noise."
            )
            yield label, number, why, slower <= STEP_TARGET
        for row in result.get("memory", []):
            label = f"{NAMES[backend]}, memory, {row['num_neurons']:,} neurons"
            if "error" in row:
                yield label, "not measured", row["error"], False
                continue
            gib = row["added_bytes"] / GIB
            number = f"{gib:.2f} instead of {row['target_gib']:g} GiB"
            yield label, number, WHY_MEMORY, gib < row["target_gib"]


def _why_slow(row: dict[str, Any], target: float) -> str:
    if "products" not in row["seconds"]:
        return ""
    unit = row["seconds"]["products"]
    library = row["seconds"]["library"] / unit
    textbook = row["seconds"]["textbook"] / unit
    text = (
        f"The textbook takes {textbook:.2f} times as long as the two products "
        f"and the library {library:.2f} times; the target asks for "
        f"{textbook / target:.2f}."
    )
    if textbook / target < 0.75:
        return text + " That is below what the symmetric tiles need (0.75)."
    if textbook / target < 1.0:
        return text + (
            " That is below the two products: the saving by symmetry would "
            "have to arrive in full, at the same rate as in large products."
        )
    return text + (
        " The products leave room for that; the operations on pairs, or at "
        "small sizes the calls themselves, would have to become cheaper, for "
        "example in one fused operation."
    )

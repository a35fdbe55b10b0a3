"""Makes the page on speed and memory from the files of the backends.

Every sentence of the page stands here and every number comes from a file.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks import picture
from benchmarks.cases import GIB, KERNELS_TARGET, STEP_TARGET, TARGETS
from benchmarks.checks import checks
from benchmarks.tables import (
    MODES,
    NAMES,
    Results,
    case_of,
    cell,
    columns_of,
    find,
    is_met,
    over_limit,
    rows_of,
    table_of,
    unique,
)


def write(docs: Path) -> list[Path]:
    """Writes the page and its picture, and returns their paths.

    Args:
        docs: Folder of the documentation, with `benchmarks/energy_*.json`.

    Raises:
        FileNotFoundError: If no backend has been measured.
    """
    results = {}
    for backend in NAMES:
        path = docs / "benchmarks" / f"energy_{backend}.json"
        if path.exists():
            results[backend] = json.loads(path.read_text())
    if not results:
        raise FileNotFoundError(f"no energy_*.json in {docs / 'benchmarks'}")
    sections = [_introduction(results)]
    for part, section in {
        "speed": _speed,
        "kernels": _kernels,
        "step": _step,
        "blocks": _blocks,
        "memory": _memory,
        "scaling": _scaling,
    }.items():
        if any(rows_of(results, part)):
            sections.append(section(results))
    sections += [_missed(results), _how(results)]
    page = docs / "speed.md"
    page.write_text("\n\n".join(sections) + "\n")
    if not any(rows_of(results, "scaling")):
        return [page]
    image = docs / "images" / "energy_scaling.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    picture.draw(results, NAMES, image)
    return [page, image]


def _introduction(results: Results) -> str:
    targets = list(checks(results))
    met = sum(is_met for *_, is_met in targets)
    text = f"""# Speed and memory

What the energy and its gradient cost, on three backends and one machine. This
page is made by a program of the repository from the numbers it measured. What
is compared are ratios of times that were taken in turns in one process, so they
say how the evaluations compare and not how fast a machine is.

In short: {met} of {len(targets)} comparisons with a target meet it"""
    missed = "[Missed targets](#missed-targets)"
    text += "." if met == len(targets) else f"; {missed} has the rest."
    if any(result["quick"] for result in results.values()):
        text += (
            "\n\n**These numbers come from a quick check with tiny sizes and "
            "mean nothing.**"
        )
    return text


def _speed(results: Results) -> str:
    columns = columns_of(results, "speed")
    table = table_of(
        ["value and gradient", *(MODES[mode] for _, mode in columns)],
        _speed_rows_of(results, columns, "textbook"),
    )
    by_hand = table_of(
        ["against `1 / (2 - 2c)`", *(MODES[mode] for _, mode in columns)],
        _speed_rows_of(results, columns, "by_hand"),
    )
    products = table_of(
        ["library / two products", *(MODES[mode] for _, mode in columns)],
        _speed_rows_of(results, columns, "over_products"),
    )
    return f"""## Against a textbook implementation

How many times faster than the formula written down in Keras ops and
differentiated automatically: all `N x N` cosines at once, in half space those
of the `2N` vectors `u`, `-u`; the diagonal masked; `r` or `arccos`; a power or
a logarithm; the mean. Both are float32, `d` is the dimension of a neuron,
behind `/` stands the target, and **bold** numbers miss it. JAX `jit`, PyTorch
eager and the TensorFlow graph are what Keras' `fit` does by default on a
machine without an accelerator.

{table}

A careful author writes `r**-2` as `1 / (2 - 2c)` and saves a root and a power.
Against that the library is faster by

{by_hand}

The library's time over that of the two matrix products alone, `U' U` and `U`
times the result, compiled the same way. The products do `4 N**2 d` operations;
an evaluation that uses the symmetry can do with `3 N**2 d`, 0.75 of them. It
can be faster still, because the two products write and read the whole table in
memory. In half space the textbook needs `24 N**2 d`, the library the same as in
full space.

{products}"""


def _kernels(results: Results) -> str:
    columns = columns_of(results, "kernels")
    names = unique(row["kernel"] for row in rows_of(results, "kernels"))
    rows = []
    for name in names:
        cells, size = [], ""
        for backend, mode in columns:
            row = find(results, backend, "kernels", mode=mode, kernel=name)
            if row and "num_neurons" in row:
                size = f" (N={row['num_neurons']}, d={row['dim']})"
            value = row and row["ratios"].get("over_products")
            target = KERNELS_TARGET if name == "all" else None
            cells.append(cell(row, value, target, most=True))
        label = "all eleven" if name == "all" else f"`{name}`{size}"
        rows.append([label, *cells])
    table = table_of(
        ["kernel", *(MODES[mode] for _, mode in columns)],
        rows,
    )
    return f"""## In training

Value and gradient of the energies of the eleven kernels of CNN-9 at full
width, in half space for the ten hidden ones, over the time of the kernels' own
two matrix products. The target is at most {KERNELS_TARGET} for all together.

{table}"""


def _step(results: Results) -> str:
    steps = []
    for backend, name in NAMES.items():
        for row in results.get(backend, {}).get("step", []):
            slower, low, high = (100 * (value - 1) for value in row["slower"])
            share = 100 * row["regularizer_over_step"][0]
            met = is_met(slower, 100 * STEP_TARGET, most=True)
            number = f"{slower:+.1f} %"
            steps.append(
                [
                    name,
                    number if met else f"**{number}**",
                    f"{low:+.1f} % to {high:+.1f} %",
                    f"{share:.2f} %",
                    f"{row['seconds']['baseline']:.1f} s",
                ]
            )
    step_table = table_of(
        [
            "",
            "step with MHE",
            "middle half of the rounds",
            "terms alone",
            "step without",
        ],
        steps,
    )
    return f"""A whole training step of CNN-9 (batch 128, 32x32 images, full
width, the published half-space terms with power 2) against the same step
without them.
The target is at most {100 * STEP_TARGET:.0f} % slower.
"Terms alone" is the time of value and gradient of the terms, measured alone
between the steps, over that of a step. It is the steadier number: the
difference of two steps is of the size of their noise, and where it is negative
it is noise. The slower a backend's step is in itself, the smaller the share.

{step_table}"""


def _blocks(results: Results) -> str:
    dims = unique(row["dim"] for row in rows_of(results, "blocks"))
    parts = []
    for dim in dims:
        for backend, name in NAMES.items():
            found = [
                row
                for row in results.get(backend, {}).get("blocks", [])
                if row["dim"] == dim
            ]
            if found:
                title = f"{name}, d = {dim}"
                parts.append(f"{title}:\n\n{_block_table_of(found)}")
    worst = []
    for backend, name in NAMES.items():
        losses = [
            row["over_dense"]["auto"][0]
            / min(values[0] for values in row["over_dense"].values())
            for row in results.get(backend, {}).get("blocks", [])
            if "auto" in row["over_dense"]
        ]
        if losses:
            worst.append(f"{100 * (max(losses) - 1):.0f} % on {name}")
    tables = "\n\n".join(parts)
    return f"""## Dense or in tiles

Time over that of the dense evaluation (`block_size=N`), full space, power 2.
The smallest of a row is bold. `"auto"` is one of the others, so how far it is
from its twin shows the noise. At worst `"auto"` takes longer than the best of
its row by
{", ".join(worst)}.

{tables}"""


def _block_table_of(found: list[dict[str, Any]]) -> str:
    sizes = unique(name for row in found for name in row["over_dense"])
    sizes.sort(key=lambda name: (name == "auto", name != "dense", len(name)))
    rows = []
    for row in found:
        best = min(values[0] for values in row["over_dense"].values())
        cells = []
        for name in sizes:
            values = row["over_dense"].get(name)
            text = f"{values[0]:.2f}" if values else ""
            is_best = values and values[0] == best
            cells.append(f"**{text}**" if is_best else text)
        rows.append([f"{row['num_neurons']:,}", *cells])
    labels = {"dense": "dense", "auto": '`"auto"`'}
    return table_of(["N", *(labels.get(name, name) for name in sizes)], rows)


def _memory(results: Results) -> str:
    found = list(rows_of(results, "memory"))
    rows = []
    for case in unique(row["case"] for row in found):
        row = next(row for row in found if row["case"] == case)
        cells = []
        for backend in results:
            here = find(results, backend, "memory", case=case)
            if here is None or "error" in here:
                cells.append(here["error"] if here else "")
                continue
            gib = here["added_bytes"] / GIB
            met = is_met(gib, here["target_gib"], most=True)
            text = f"{gib:.2f} GiB"
            cells.append(text if met else f"**{text}**")
        dense = (
            4 * row["num_neurons"] * (row["num_anchors"] or row["num_neurons"])
        )
        label = f"{row['num_neurons']:,} neurons, d={row['dim']}, all pairs"
        if row["num_anchors"]:
            label = (
                f"{row['num_anchors']} anchors, {row['num_neurons']:,} "
                f"neurons, d={row['dim']}"
            )
        target = f"< {row['target_gib']:g} GiB"
        rows.append([label, f"{dense / GIB:.2f} GiB", target, *cells])
    names = [NAMES[backend] for backend in results]
    table = table_of(["", "one dense table", "target", *names], rows)
    return f"""## Memory

Peak of the resident memory during value and gradient, compilation included,
above what the process holds with the backend warmed up and the weights in
place. Each case ran in a process of its own. The second column is what a
single table of all pairs would take.

{table}"""


def _scaling(results: Results) -> str:
    found = list(rows_of(results, "scaling"))
    parts = []
    for dim in unique(row["dim"] for row in found):
        sizes = sorted({r["num_neurons"] for r in found if r["dim"] == dim})
        rows = []
        for size in sizes:
            cells = []
            for backend in results:
                for name in ("library", "textbook"):
                    row = find(
                        results,
                        backend,
                        "scaling",
                        dim=dim,
                        num_neurons=size,
                        implementation=name,
                    )
                    if row is None or "error" in row:
                        cells.append("failed" if row else "")
                    else:
                        cells.append(f"{over_limit(row, 4):.2f}")
            rows.append([f"{size:,}", *cells])
        names = [
            f"{NAMES[backend]}{who}"
            for backend in results
            for who in ("", ", textbook")
        ]
        table = table_of([f"N (d = {dim})", *names], rows)
        parts.append(table)
    tables = "\n\n".join(parts)
    close = []
    for dim in unique(row["dim"] for row in found):
        for backend in results:
            here = [
                row
                for row in results[backend].get("scaling", [])
                if row["dim"] == dim
                and row["implementation"] == "library"
                and "error" not in row
            ]
            if here:
                row = max(here, key=lambda row: row["num_neurons"])
                close.append(
                    f"- {NAMES[backend]}, N = {row['num_neurons']:,}, "
                    f"d = {dim}: {over_limit(row, 4):.2f} times the two "
                    f"products, {over_limit(row, 3):.2f} times the symmetric "
                    "limit."
                )
    return f"""## Growth with the number of neurons

![Time and memory against the number of neurons on three backends. The
library's time runs parallel to that of two products; its memory grows no faster
than N, and the textbook's with the square of N. All axes are
logarithmic.](images/energy_scaling.png)

Full space, power 2, each point in a process of its own. The limit is the time
of `4 N**2 d` operations, those of two matrix products, at the rate at which
this backend multiplies two square matrices in the same process; the symmetric
limit is that of `3 N**2 d`. The time over the two-product limit:

{tables}

At the largest sizes:

{chr(10).join(close)}

What lies between the limit and the library is the potential itself: some ten
elementary operations for each pair, which cost as much as a product with a
small `d` and vanish beside one with a large `d`. That is why the distance to
the limit shrinks with the dimension; with the number of neurons it shows no
trend, from some thousand on, that these measurements could tell from noise."""


def _missed(results: Results) -> str:
    missed = [
        f"- {text}: {number}. {why}"
        for text, number, why, is_met in checks(results)
        if not is_met
    ]
    if not missed:
        return "## Missed targets\n\nNone."
    return "## Missed targets\n\n" + "\n".join(missed)


def _how(results: Results) -> str:
    machines = {}
    for backend, result in results.items():
        machine, versions = result["machine"], result["versions"]
        text = (
            f"{machine['processor']}, {machine['cores']} cores, "
            f"{machine['memory_gib']} GiB, {machine['system']}, Python "
            f"{machine['python']}"
        )
        packages = ", ".join(f"{k} {v}" for k, v in versions.items())
        machines.setdefault(text, []).append(f"{NAMES[backend]}: {packages}")
    lines = [
        f"- {text}\n" + "\n".join(f"    - {packages}" for packages in all_)
        for text, all_ in machines.items()
    ]
    commands = "\n".join(
        f"KERAS_BACKEND={backend} python docs/benchmarks/energy.py"
        for backend in results
    )
    return f"""## How it was measured

With `pip install ".[jax,examples]"`, or another backend in place of `jax`:

```sh
{commands}
python docs/benchmarks/energy.py --report
```

{chr(10).join(lines)}

The functions that are compared run in turns, A, B, C, A, B, C, and so on, each
until a sample lasts some hundredths of a second; the result is the median of
the rounds' ratios. The first call, which compiles, does not count. The numbers
behind this page, with the quartiles, are in `docs/benchmarks/` of the
repository. Other processors have another ratio of products to elementary
operations, and other numbers; accelerators were not measured."""


def _speed_rows_of(
    results: Results, columns: list[tuple[str, str]], name: str
) -> list[list[str]]:
    rows = []
    for case in unique(case_of(row) for row in rows_of(results, "speed")):
        cells = []
        for backend, mode in columns:
            row = next(
                (
                    row
                    for row in results[backend].get("speed", [])
                    if row["mode"] == mode and case_of(row) == case
                ),
                None,
            )
            value = row and row["ratios"].get(name)
            target = None
            if row and name == "textbook":
                target = TARGETS[row["group"]][backend]
            cells.append(cell(row, value, target))
        if any(cells):
            rows.append([case, *cells])
    return rows

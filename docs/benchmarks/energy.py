"""Speed and memory of the energy, against a textbook and the machine's limit.

    KERAS_BACKEND=jax python docs/benchmarks/energy.py
    python docs/benchmarks/energy.py --report

The first measures on one backend, prints, and saves
`docs/benchmarks/energy_<backend>.json`. The second measures nothing: it makes
the page `docs/speed.md` and its picture from the files of all backends.
`--parts` measures some parts anew and keeps the others.
"""

import argparse
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report, tables
from benchmarks.cases import full_plan, quick_plan

ROOT = Path(__file__).resolve().parents[2]
#: Load average above which the machine is not ours alone.
BUSY = 0.5
PARTS = ("speed", "blocks", "kernels", "step", "memory", "scaling")


def main(arguments: list[str] | None = None) -> None:
    """Measures, or makes the page."""
    options = _options(arguments)
    if options.report:
        for path in report.write(options.docs):
            print(path)
        return

    import keras

    from benchmarks.parts import PARTS as MEASURE

    backend = keras.backend.backend()
    plan = quick_plan() if options.quick else full_plan()
    path = options.docs / "benchmarks" / f"energy_{backend}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text()) if path.exists() else {}
    if results.get("quick") != options.quick:
        results = {}
    load = os.getloadavg()[0]
    if load > BUSY:
        print(f"Other programs are running (load {load:.1f}): times mislead.")
    results |= {
        "backend": backend,
        "quick": options.quick,
        "machine": _machine(),
        "versions": _versions(backend),
    }
    for part in options.parts:
        print(f"\n{backend}, {part}", flush=True)
        results[part] = []
        for result in MEASURE[part](plan):
            results[part].append(result)
            print(tables.line(part, result), flush=True)
        # Saved after each part: the last ones take long.
        path.write_text(_to_json(results))
    print(f"\n{path}")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny sizes, to try the program; needs --docs",
    )
    parser.add_argument(
        "--report", action="store_true", help="make the page, measure nothing"
    )
    parser.add_argument(
        "--docs", type=Path, default=ROOT / "docs", help="where all files go"
    )
    options = parser.parse_args(arguments)
    if options.quick and options.docs == ROOT / "docs":
        parser.error("--quick needs --docs FOLDER, or it spoils the results")
    return options


def _machine() -> dict[str, Any]:
    """Processor, cores that this process may use, and memory."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages * size / 1024**3),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _versions(backend: str) -> dict[str, str]:
    names = {"tensorflow": ("tensorflow", "tensorflow-cpu")}
    versions = {}
    for name in ("keras", "numpy", *names.get(backend, (backend,))):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _to_json(results: dict[str, Any]) -> str:
    """One line for each result keeps the file small and its diffs readable."""
    lines = []
    for key, value in results.items():
        if isinstance(value, list):
            rows = ",\n    ".join(json.dumps(row) for row in value)
            lines.append(f'  "{key}": [\n    {rows}\n  ]')
        else:
            lines.append(f'  "{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    main()

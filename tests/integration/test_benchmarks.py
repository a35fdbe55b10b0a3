"""The benchmark of the energy runs, and its page can be made from its file."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from benchmarks import report

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[2] / "docs" / "benchmarks" / "energy.py"
PARTS = ("speed", "blocks", "kernels", "step", "memory", "scaling")


def run(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, PROGRAM, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_quick_measurement_becomes_a_page(tmp_path: Path) -> None:
    backend = keras.backend.backend()
    printed = run("--quick", "--docs", tmp_path, "--parts", *PARTS)
    assert "textbook / library" in printed
    assert "failed" not in printed
    file = tmp_path / "benchmarks" / f"energy_{backend}.json"
    results = json.loads(file.read_text())
    assert results["quick"]
    for part in PARTS:
        assert results[part], part
    for row in results["memory"] + results["scaling"]:
        assert row["seconds"] > 0, row
    for row in results["speed"]:
        assert set(row["ratios"]) >= {"textbook", "over_products"}

    report.write(tmp_path)
    page = (tmp_path / "speed.md").read_text()
    assert "mean nothing" in page
    assert "full, s=2, N=48, d=8" in page
    assert (tmp_path / "images" / "energy_scaling.png").stat().st_size > 0


def test_quick_measurement_needs_a_folder_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, "--quick"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--quick needs --docs FOLDER" in done.stderr

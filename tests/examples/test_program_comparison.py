"""Comparison of methods: pairing, statistics, continuation."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from cifar100 import main
from classification.comparison import format_table, summarize
from classification.methods import Method
from support import image_program as program

COMPARE = ["--compare", "baseline", "half_mhe:2@0.02", "--seeds", "0", "1"]


def _run(test: float) -> dict[str, float]:
    return {
        "test_accuracy_last_epoch": test,
        "train_accuracy_last_epoch": 1.0,
        "hidden_energy_gap_last_epoch": 0.5,
        "cpu_milliseconds_per_step": 12.0,
    }


def test_differences_are_paired_by_seed() -> None:
    baseline = [0.50, 0.60, 0.55]
    other = [0.52, 0.61, 0.58]
    first, second = summarize(
        {
            "baseline": [_run(a) for a in baseline],
            "b": [_run(a) for a in other],
        },
        [4, 5, 6],
    )
    assert first.test_mean == pytest.approx(0.55)
    assert first.test_spread == pytest.approx(0.05)
    assert first.difference is None
    paired = stats.ttest_rel(other, baseline)
    interval = paired.confidence_interval(0.95)
    assert second.difference == pytest.approx(0.02)
    assert second.difference - second.difference_interval == pytest.approx(
        interval.low
    )
    table = format_table([first, second])
    assert "| b | 57.00 | 4.58 | 100.00 | 0.50 | 12 | +2.00 ± 2.48 |" in table


def test_one_seed_has_no_spread() -> None:
    first, second = summarize({"a": [_run(0.5)], "b": [_run(0.7)]}, [0])
    assert first.test_spread is None
    assert second.difference_interval is None
    assert format_table([first, second]).endswith("| +20.00 |")


@pytest.mark.parametrize(
    "text",
    [
        "baseline",
        "mhe:0",
        "half_mhe:a2",
        "half_mhe:2@0.05",
        "baseline@0.1",
        "separation:0.5",
        "minimum_energy@0.02",
        "separation:1e+06+descent:1e-05",
        "separation:1.0000001",
        "half_mhe:2@0.050000001",
        "half_mhe:2+gram_determinant:2+max_energy:0.5+minimum_energy",
    ],
)
def test_method_label_reads_back(text: str) -> None:
    assert Method.parse(text).label == text


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("separation", "separation:1"),
        ("baseline+descent", "descent:0.01"),
        (
            "minimum_energy+max_energy+mhe:0",
            "mhe:0+max_energy:1+minimum_energy",
        ),
    ],
)
def test_labels_are_complete(text: str, label: str) -> None:
    assert Method.parse(text).label == label


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mhe",
        "mhe:3",
        "half_mhe:2:2",
        "baseline:1",
        "separation:",
        "separation:0",
        "separation:x",
        "descent:inf",
        "minimum_energy:1",
        "minimum_energy:",
        "mhe:0+half_mhe:0",
        "separation+uniformity",
        "descent+max_energy",
        "mhe:0+",
        "pca",
    ],
)
def test_wrong_methods(text: str) -> None:
    with pytest.raises(ValueError, match="Received"):
        Method.parse(text)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison") / "study"
    assert main([*program.SMALL, *COMPARE, f"--output={folder}"]) == 0
    return folder


def test_comparison_has_runs_table_and_picture(study: Path) -> None:
    runs = sorted(path.parent for path in study.rglob("metrics.json"))
    assert [str(run.relative_to(study)) for run in runs] == [
        "baseline/seed_0",
        "baseline/seed_1",
        "half_mhe_2_rate_0.02/seed_0",
        "half_mhe_2_rate_0.02/seed_1",
    ]
    methods = [
        json.loads((run / "configuration.json").read_text())["run"]["method"]
        for run in runs
    ]
    rates = [method["learning_rate"] for method in methods]
    assert rates == [None, None, 0.02, 0.02]
    accuracies = [
        json.loads((run / "metrics.json").read_text())[
            "test_accuracy_last_epoch"
        ]
        for run in runs
    ]
    results = json.loads((study / "comparison.json").read_text())["results"]
    assert results[0]["test_accuracies"] == accuracies[:2]
    assert results[1]["test_accuracies"] == accuracies[2:]
    table = (study / "comparison.md").read_text()
    assert f"| baseline | {50 * sum(accuracies[:2]):.2f} |" in table
    with Image.open(study / "comparison.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10


def test_methods_start_from_the_same_weights(study: Path) -> None:
    for seed in (0, 1):
        initial = [
            json.loads(
                (path / f"seed_{seed}/initial_energies.json").read_text()
            )
            for path in (study / "baseline", study / "half_mhe_2_rate_0.02")
        ]
        assert initial[0] == initial[1]


def test_comparison_continues_where_it_was_cut(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = study / "comparison.json"
    first = json.loads(results.read_text())
    metrics = sorted(study.rglob("metrics.json"))
    kept = {path: path.stat().st_mtime_ns for path in metrics[:3]}
    shutil.rmtree(metrics[3].parent)
    results.unlink()

    assert main([*program.SMALL, *COMPARE, f"--output={study}"]) == 0

    table = (study / "comparison.md").read_text()
    assert table.strip() in capsys.readouterr().out
    for path, modified in kept.items():
        assert path.stat().st_mtime_ns == modified
    second = json.loads(results.read_text())
    np.testing.assert_allclose(
        second["results"][1]["test_accuracies"],
        first["results"][1]["test_accuracies"],
        atol=0.03,
    )

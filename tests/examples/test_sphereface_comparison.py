"""The comparison of heads and energies on the same seeds."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sphereface_plus import main
from support.small_identities import SMALL, write_identities
from verification.comparison import format_table, references, summarize
from verification.methods import Method


def test_comparison_shares_the_first_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = write_identities(tmp_path / "people")
    folder = tmp_path / "study"
    arguments = [
        *SMALL,
        f"--data_dir={people}",
        f"--output={folder}",
        "--compare",
        "cosface:0.1",
        "sphereface:2",
        "sphereface:2+batch:0@3",
    ]
    assert main([*arguments, "--seeds", "0"]) == 0
    first = (folder / "sphereface_2" / "seed_0" / "metrics.json").stat()
    assert main([*arguments, "--seeds", "0", "1"]) == 0
    # The finished run is kept.
    again = (folder / "sphereface_2" / "seed_0" / "metrics.json").stat()
    assert again.st_mtime_ns == first.st_mtime_ns
    shared = folder / "pretraining"
    assert sorted(place.name for place in shared.iterdir()) == [
        "cosface_0.1",
        "sphereface_2",
    ]
    starts = [
        json.loads((folder / name / "seed_1/configuration.json").read_text())
        for name in ("sphereface_2", "sphereface_2_batch_0_strength_3")
    ]
    assert starts[0]["run"]["start"] == starts[1]["run"]["start"]
    assert starts[0]["run"]["start"] is not None

    results = json.loads((folder / "comparison.json").read_text())["results"]
    assert [r["method"] for r in results] == arguments[-3:]
    assert [r["reference"] for r in results] == [
        None,
        "cosface:0.1",
        "sphereface:2",
    ]
    table = (folder / "comparison.md").read_text()
    assert table.strip() in capsys.readouterr().out
    assert (folder / "comparison.png").stat().st_size > 20_000


def _metrics(accuracy: float, tpr: float) -> dict[str, object]:
    return {
        "verification_accuracy": accuracy,
        "equal_error_rate": 1 - accuracy,
        "tpr_at_fpr": {"0.01": tpr + 0.1, "0.001": tpr},
        "train_accuracy": 0.99,
        "smallest_angle": 40.0,
        "mean_nearest_angle": 60.0,
        "cpu_seconds": 12.0,
    }


def test_table_by_hand() -> None:
    metrics = {
        "arcface:0.5": [_metrics(0.90, 0.5), _metrics(0.92, 0.6)],
        "arcface:0.5+batch:2@1": [_metrics(0.93, 0.5), _metrics(0.94, 0.7)],
    }
    methods = [Method.parse(label) for label in metrics]
    first, second = summarize(metrics, [0, 1], references(methods))
    assert first.accuracy == pytest.approx(0.91)
    assert first.accuracy_spread == pytest.approx(0.02 / np.sqrt(2))
    assert first.reference is None
    assert first.difference is None
    assert second.difference == pytest.approx(0.025)
    half_width = stats.t.ppf(0.975, 1) * np.std([0.03, 0.02], ddof=1) / 2**0.5
    assert second.difference_interval == pytest.approx(half_width)
    assert second.tpr_difference == pytest.approx(0.05)
    lines = format_table([first, second]).splitlines()
    assert lines[2].startswith("| arcface:0.5 | 91.00 | 1.41 | 9.00 | 65.0 |")
    assert "| +2.50 ± 6.35 to arcface:0.5 |" in lines[3]


@pytest.mark.parametrize(
    "text",
    [
        "softmax",
        "sphereface:4",
        "sphereface_r:1.7+full:a2@0.5",
        "cosface:0.35",
        "arcface:0.5+batch:2@100",
        "sphereface2:0.4+batch:0@10",
        "arcface:0.12345678+batch:2@1234567.5",
    ],
)
def test_method_labels_are_read_back(text: str) -> None:
    method = Method.parse(text)
    assert method.label == text
    assert Method.parse(method.label) == method
    plain = method.without_energy
    assert plain.label == text.partition("+")[0]
    assert plain.regularizer() is None


def test_methods_without_numbers_take_defaults() -> None:
    assert Method.parse("arcface") == Method("arcface", 0.5)
    assert Method.parse("sphereface+batch") == Method(
        "sphereface", 4.0, "batch", "2", 100.0
    )

"""The program that spreads points: its ways, and what it compares with."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import thomson
from support import numpy_reference
from thomson import Options, best_known

REFERENCE = Path(__file__).parents[1] / "reference" / "optima.json"
OPTIMA = json.loads(REFERENCE.read_text())


def test_every_way_reaches_what_is_known(tmp_path, capsys):
    command = ["--points", "3", "5", "--starts=2", "--steps=150"]
    assert thomson.main([*command, f"--output={tmp_path}"]) == 0
    assert "| points | best known | constraint | " in capsys.readouterr().out
    found = json.loads((tmp_path / "points.json").read_text())
    for count, kind in ((3, "proven"), (5, "found")):
        result = found["results"][str(count)]
        assert result["kind"] == kind
        for way in thomson.WAYS:
            assert result[way] == pytest.approx(result["best_known"], rel=1e-4)
        points = np.array(result["points"]).T
        exact = numpy_reference.energy(points, power=1.0)
        exact *= count * (count - 1) / 2
        assert exact == pytest.approx(result["best_known"], rel=1e-4)
    with Image.open(tmp_path / "points.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10


@pytest.mark.parametrize(
    ("more", "row"),
    [
        (["--points=2", "--half_space"], "| 2 | 0.638071 (proven) | 0.63807"),
        (["--points=6", "--dim=2", "--power=0"], "| 6 | -5.375278 (proven) |"),
    ],
)
def test_lines_have_a_picture_and_other_spheres_none(
    more, row, tmp_path, capsys
):
    command = [*more, "--ways", "lbfgs", "--steps=9", "--starts=1"]
    assert thomson.main([*command, f"--output={tmp_path}"]) == 0
    assert row in capsys.readouterr().out
    assert (tmp_path / "points.png").exists() == ("--half_space" in more)


@pytest.mark.once
@pytest.mark.parametrize(
    ("power", "name"), [(0.0, "log"), (1.0, "s1"), (2.0, "s2")]
)
def test_energies_that_are_known(power, name):
    known = {(c["N"], c["d"]): c for c in OPTIMA["universal"].values()}
    assert known.keys() >= thomson.PROVEN.keys()
    for (count, dim), code in known.items():
        energy, kind = best_known(Options(dim=dim, power=power), count)
        if (count, dim) in thomson.PROVEN or count in (dim + 1, 2 * dim):
            assert kind == "proven"
            assert energy == pytest.approx(code[name], rel=1e-9)
    assert best_known(Options(power=power), 9)[1] == "bound"
    assert best_known(Options(power=power, half_space=True), 4)[1] == "bound"
    for count, energy in thomson.FOUND.items():
        assert energy == OPTIMA["riesz_s1_S2"][str(count)]
        assert best_known(Options(), count) == (energy, "found")

"""The program that spreads points: its ways, references and files."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import thomson
from spheres.best_known import best_known
from spheres.problem import Problem
from spheres.report import _faces
from spheres.spreading import Result, spread
from spheres.ways import WAYS
from support import numpy_reference
from support.command_line import one_line, refused

REFERENCE = Path(__file__).parents[1] / "reference" / "optima.json"


def problem_of(num_points, dim=3, power=1.0, **form):
    form = {"distance": "euclidean", "half_space": False} | form
    return Problem(num_points, dim, power, **form)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "problem",
    [
        problem_of(7),
        problem_of(5, power=0.0),
        problem_of(6, 4, power=2.0, half_space=True),
        problem_of(4, 5, power=1.0, distance="angular"),
    ],
    ids=str,
)
def test_every_way_spreads_every_start(way, problem):
    starts = problem.random_points(3, seed=0)
    points = WAYS[way](problem, starts, 300)
    assert points.shape == starts.shape
    assert points.dtype == "float32"
    for before, after in zip(
        np.split(starts, 3, axis=1), np.split(points, 3, axis=1), strict=True
    ):
        low, high = (
            numpy_reference.energy(kernel, **problem.form)
            for kernel in (after, before)
        )
        assert low < high


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (problem_of(4), "proven"),
        (problem_of(6, power=0.0), "proven"),
        (problem_of(7), "best known"),
        (problem_of(3, 4, half_space=True), "proven"),
        (problem_of(16, 5, power=2.0), "proven"),
        (problem_of(5, 2), "proven"),
        (problem_of(8, 4, power=0.5), "proven"),
    ],
    ids=str,
)
def test_the_ways_agree_with_what_is_known(problem, kind):
    (result,) = spread([problem], list(WAYS), starts=4, steps=1200, seed=0)
    assert result.reference.kind == kind
    assert set(result.energies) == set(WAYS)
    for energy in result.energies.values():
        assert abs(result.excess(energy)) < 1e-5
    exact = problem.num_pairs * numpy_reference.energy(
        result.points, **problem.form
    )
    assert min(result.energies.values()) == pytest.approx(exact, rel=1e-5)


def test_more_starts_find_a_lower_end():
    # 16 points have a local minimum near the best that is known.
    problem = problem_of(16)
    found = [
        spread([problem], ["lbfgs"], starts=n, steps=400, seed=1)[0]
        for n in (1, 8)
    ]
    first, best = (result.energies["lbfgs"] for result in found)
    assert best <= first
    assert found[1].is_reached


def test_references_are_those_that_the_library_is_tested_against():
    ours = Path(thomson.__file__).parent / "spheres" / "best_known.json"
    assert json.loads(ours.read_text()) == json.loads(REFERENCE.read_text())


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_energies_of_codes(power):
    name = {0.0: "log", 1.0: "s1", 2.0: "s2"}[power]
    table = json.loads(REFERENCE.read_text())["universal"]
    for code in table.values():
        problem = problem_of(code["N"], code["d"], power)
        known = best_known(problem)
        assert known.kind == "proven"
        assert known.energy == pytest.approx(code[name], rel=1e-9)


def test_what_is_not_known_is_a_bound():
    for problem in (
        problem_of(9),
        problem_of(7, power=3.0),
        problem_of(7, half_space=True),
    ):
        assert best_known(problem).kind == "bound"


def test_angles_have_arrangements_below_the_simplex():
    problem = problem_of(4, power=0.0, distance="angular")
    (result,) = spread([problem], ["lbfgs"], starts=4, steps=200, seed=0)
    assert result.reference.kind == "simplex"
    assert result.energies["lbfgs"] < result.reference.energy - 0.1


def test_smallest_angles():
    cube = np.array(np.meshgrid([1, -1], [1, -1], [1, -1])).reshape(3, 8)
    for half_space, expected in ((False, 70.5288), (True, 0.0)):
        problem = problem_of(8, half_space=half_space)
        result = Result(problem, best_known(problem), {"lbfgs": 0.0}, cube)
        assert result.smallest_angle == pytest.approx(expected, abs=1e-3)


def test_faces_of_points():
    octahedron = np.concatenate([np.eye(3), -np.eye(3)], axis=1)
    assert len(_faces(octahedron)) == 8
    turn = np.radians([0.0, 200.0, 90.0, 300.0])
    flat = np.stack([np.cos(turn), np.sin(turn), 0.0 * turn])
    (order,) = _faces(flat)
    ordered = np.diff(np.unwrap(turn[order]))
    assert (ordered > 0).all() or (ordered < 0).all()


@pytest.mark.parametrize(
    "more", [[], ["--half_space", "--dim=4", "--power=0"]], ids=str
)
def test_program(more, tmp_path, capsys):
    command = ["--points", "2", "4", "4", "--ways", "lbfgs", "constraint"]
    command += ["--starts=2", "--steps=50", f"--output={tmp_path}", *more]
    assert thomson.main(command) == 0
    printed = capsys.readouterr().out
    assert "2 of 2 to 2e-06 in every way" in printed
    assert (tmp_path / "energies.md").read_text() in printed + "\n"
    results = json.loads((tmp_path / "energies.json").read_text())["results"]
    assert [result["num_points"] for result in results] == [2, 4]
    with np.load(tmp_path / "points.npz") as points:
        dim = 4 if more else 3
        assert points["points_4"].shape == (dim, 4)
    assert (tmp_path / "points.png").read_bytes().startswith(b"\x89PNG")
    assert math.isfinite(results[0]["smallest_angle"])


@pytest.mark.parametrize(
    ("more", "note"),
    [
        ([], None),
        (["--points", "9"], "No arrangement goes below a bound, and few"),
        (["--distance=angular"], "With angles in full space the simplex is"),
    ],
    ids=str,
)
def test_notes_on_what_is_compared_with(more, note, tmp_path, capsys):
    command = ["--points", "4", "--ways", "lbfgs", "--starts=1", "--steps=20"]
    assert thomson.main([*command, f"--output={tmp_path}", *more]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(note or "1 of 1 to 2e-06 in every way")
    found = json.loads((tmp_path / "energies.json").read_text())
    (result,) = found["results"]
    is_angular = "--distance=angular" in more
    assert result["distance"] == ("angular" if is_angular else "euclidean")


def test_a_seed_gives_the_same_points(tmp_path):
    command = ["--points", "4", "--ways", "lbfgs", "--starts=1", "--steps=5"]
    ends = []
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        output = tmp_path / folder
        options = [f"--seed={seed}", f"--output={output}"]
        assert thomson.main([*command, *options]) == 0
        found = json.loads((output / "energies.json").read_text())
        assert found["seed"] == seed
        with np.load(output / "points.npz") as points:
            ends.append(points["points_4"])
    np.testing.assert_array_equal(ends[0], ends[1])
    assert not np.allclose(ends[0], ends[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--points", "1"], "argument --points: must be an integer >= 2"),
        (["--dim=1"], "argument --dim: must be an integer >= 2"),
        (["--power=-1"], "argument --power: must be a number >= 0"),
        (["--ways", "newton"], "argument --ways: invalid choice"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    assert message in refused(thomson.main, arguments, capsys)


def test_a_place_that_is_no_folder_is_noticed_first(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert thomson.main([f"--output={tmp_path / 'file'}"]) == 2
    assert "--output" in one_line(capsys)

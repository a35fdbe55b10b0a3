"""The command `keras-mhe audit`: table, page, exit codes and errors."""

import csv
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import keras_mhe
from keras_mhe._command_line import main


@pytest.fixture(name="saved")
def saved_model(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(12, name="hidden", kernel_regularizer=keras_mhe.MHE()),
            layers.Dense(4, name="classes"),
        ]
    )
    path = tmp_path / "model.keras"
    model.save(path)
    return model, path


def run(*arguments):
    return main([str(argument) for argument in arguments])


def error_of(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_table(saved, capsys):
    model, path = saved
    assert run("audit", path) == 0
    assert capsys.readouterr().out == f"{keras_mhe.audit(model)}\n"


def test_options(saved, capsys):
    model, path = saved
    status = run(
        "audit", path, "--power", "1", "--distance", "angular",
        "--half-space", "--layers", "hid*",
    )  # fmt: skip
    assert status == 0
    found = keras_mhe.audit(
        model, power=1, distance="angular", half_space=True, layers=["hidden"]
    )
    assert capsys.readouterr().out == f"{found}\n"


def test_half_space_with_a_low_line(saved, capsys):
    model, path = saved
    assert run("audit", path, "--half_space") == 0
    found = keras_mhe.audit(model, half_space=True)
    assert capsys.readouterr().out == f"{found}\n"


def test_a_table_that_nobody_reads_to_its_end(saved, tmp_path):
    _, path = saved
    page = tmp_path / "report.html"
    program = (
        "import sys, keras_mhe._command_line as command_line; "
        "sys.exit(command_line.main(sys.argv[1:]))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            "audit",
            path,
            "--html",
            page,
            "--fail-above",
            "0",
        ],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(keras_mhe.__file__).parents[1]),
        },
    )
    os.close(writer)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "not at most 0" in done.stderr
    assert "</html>" in page.read_text()


def test_files(saved, tmp_path, capsys):
    model, path = saved
    page, table = tmp_path / "report.html", tmp_path / "table.csv"
    assert run("audit", path, "--html", page, "--csv", table) == 0
    assert "<title>Audit of model.keras</title>" in page.read_text()
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == ["hidden", "classes"]
    energy = keras_mhe.audit(model)[0].energy
    assert float(rows[0]["energy"]) == pytest.approx(energy, rel=1e-6)


def test_fail_above(saved, capsys):
    model, path = saved
    rows = keras_mhe.audit(model)
    largest = max(row.gap for row in rows)
    assert run("audit", path, "--fail-above", largest + 1e-3) == 0
    assert capsys.readouterr().err == ""
    assert run("audit", path, "--fail_above", largest - 1e-3) == 3
    worst = max(rows, key=lambda row: row.gap)
    assert capsys.readouterr().err == (
        f"keras-mhe: {worst.layer}: gap {largest:.3f}, not at most "
        f"{largest - 1e-3:g}\n"
    )


def test_neurons_that_are_not_finite_fail(saved, capsys):
    model, path = saved
    model.layers[0].kernel.assign(np.full((8, 12), np.nan, "float32"))
    model.save(path)
    assert run("audit", path, "--fail-above", "1e9") == 3
    assert "hidden: gap nan" in capsys.readouterr().err


def test_a_limit_that_no_layer_can_be_asked_for(saved, capsys):
    _, path = saved
    arguments = ("--distance", "angular", "--fail-above", "0")
    assert run("audit", path, *arguments) == 2
    assert "no layer can have a gap here" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["nan", "inf", "much"])
def test_limit_that_is_no_number(saved, limit):
    with pytest.raises(SystemExit) as raised:
        run("audit", saved[1], "--fail-above", limit)
    assert raised.value.code == 2


def test_missing_file(tmp_path, capsys):
    path = tmp_path / "nothing.keras"
    assert run("audit", path) == 2
    assert error_of(capsys) == f"keras-mhe: {path}: there is no such file."


def test_foreign_file(tmp_path, capsys):
    path = tmp_path / "model.keras"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert run("audit", path) == 2
    assert "not a model in Keras' format, or damaged" in error_of(capsys)


def test_foreign_archive(tmp_path, capsys):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    assert run("audit", path) == 2
    assert "no model of Keras, without metadata.json" in error_of(capsys)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_cut_file(saved, capsys, share):
    _, path = saved
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert run("audit", path) == 2
    assert "damaged" in error_of(capsys)


def test_damaged_weights(saved, capsys):
    _, path = saved
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("model.weights.h5").header_offset + 3000
    content[place : place + 40] = bytes(
        b ^ 255 for b in content[place : place + 40]
    )
    path.write_bytes(content)
    assert run("audit", path) == 2
    assert "damaged, model.weights.h5 is not whole" in error_of(capsys)


def test_code_in_the_file_is_not_run(tmp_path, capsys):
    model = keras.Sequential(
        [keras.Input((4,)), layers.Lambda(lambda x: x), layers.Dense(3)]
    )
    path = tmp_path / "model.keras"
    model.save(path)
    assert run("audit", path) == 2
    assert "not loaded, because it holds code" in error_of(capsys)


#: Without the working folder, as for an installed command.
PACKAGES = str(Path(keras_mhe.__file__).parents[1])

OWN_CLASS = """
import keras

@keras.saving.register_keras_serializable("{package}")
class Own(keras.layers.Dense):
    pass
"""


def test_classes_of_ones_own(tmp_path):
    (tmp_path / "own_layers.py").write_text(OWN_CLASS.format(package="own"))
    program = (
        "import sys, keras\n"
        "if sys.argv[1] == 'save':\n"
        "    import own_layers\n"
        "    model = keras.Sequential([keras.Input((4,)), "
        "own_layers.Own(3, name='mine')])\n"
        "    model.save('model.keras')\n"
        "else:\n"
        "    sys.path.remove('')\n"
        "    from keras_mhe._command_line import main\n"
        "    sys.exit(main(['audit', 'model.keras', *sys.argv[2:]]))\n"
    )

    def start(*arguments):
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": PACKAGES},
            capture_output=True,
            text=True,
        )

    assert start("save").returncode == 0
    # A module that can be found is found by Keras too.
    (tmp_path / "own_layers.py").rename(tmp_path / "moved.py")
    alone = start("audit")
    assert alone.returncode == 2
    assert "'Own' is not known: --import MODULE" in alone.stderr
    helped = start("audit", "--import", "moved")
    assert helped.returncode == 0
    assert "mine" in helped.stdout
    wrong = start("audit", "--import", "no_module")
    assert wrong.returncode == 2
    assert "keras-mhe: --import no_module: No module named" in wrong.stderr


def test_names_of_nothing_and_models_without_kernels(saved, tmp_path, capsys):
    _, path = saved
    assert run("audit", path, "--layers", "conv") == 2
    assert "`layers` must name layers" in error_of(capsys)
    empty = keras.Sequential([keras.Input((4,)), layers.ReLU()])
    empty.save(tmp_path / "empty.keras")
    assert run("audit", tmp_path / "empty.keras") == 2
    assert "`model` must have at least one kernel" in error_of(capsys)


def test_wrong_numbers(saved, capsys):
    _, path = saved
    assert run("audit", path, "--power", "-1") == 2
    assert "`power` must be a finite real number >= 0" in error_of(capsys)


def test_a_limit_that_is_no_number(saved, capsys):
    _, path = saved
    for limit in ("abc", "nan"):
        with pytest.raises(SystemExit) as stopped:
            run("audit", path, "--fail-above", limit)
        assert stopped.value.code == 2
        printed = capsys.readouterr().err
        assert f"must be a finite number. Received: '{limit}'." in printed


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        run("--version")
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"{keras_mhe.__version__}\n"


def test_files_that_cannot_be_written(saved, tmp_path, capsys):
    _, path = saved
    assert run("audit", path, "--csv", tmp_path / "no" / "table.csv") == 2
    target = tmp_path / "no" / "table.csv"
    assert (
        error_of(capsys) == f"keras-mhe: {target}: its folder does not exist."
    )
    assert run("audit", path, "--html", tmp_path) == 2
    assert error_of(capsys) == (
        f"keras-mhe: {tmp_path}: a folder, not a file to write."
    )


def test_what_is_no_regular_file_is_written_to(saved, tmp_path, capsys):
    _, path = saved
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    link.symlink_to(real)
    assert run("audit", path, "--csv", link) == 0
    assert link.is_symlink()
    assert real.read_text().startswith("layer,")
    assert run("audit", path, "--csv", "/dev/null") == 0
    assert not os.path.isfile("/dev/null")


def test_older_formats_and_folders(tmp_path, capsys):
    old = tmp_path / "model.h5"
    old.write_bytes(b"\x89HDF")
    assert run("audit", old) == 2
    assert "older formats are not read" in error_of(capsys)
    assert run("audit", tmp_path) == 2
    assert error_of(capsys) == (
        f"keras-mhe: {tmp_path}: a folder; give the .keras file."
    )
    weights = tmp_path / "backup.weights.h5"
    weights.write_bytes(b"\x89HDF")
    assert run("audit", weights) == 2
    assert "weights only; give a model" in error_of(capsys)


def test_options_before_the_model(saved, capsys):
    _, path = saved
    arguments = ("--layers", "hidden", "--layers", "classes", path)
    assert run("audit", *arguments) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


@pytest.mark.parametrize("arguments", [[], ["audit"], ["count", "m.keras"]])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2

"""The command `keras-mhe audit`: table, page, exit codes and errors."""

import csv
import io
import json
import os
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers

import keras_mhe
from keras_mhe import _model_files
from keras_mhe._command_line import main

pytestmark = pytest.mark.once


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


@pytest.fixture(name="died")
def model_with_dead_neurons(tmp_path):
    layer = layers.Dense(64, name="hidden")
    model = keras.Sequential([keras.Input((8,)), layer, layers.Dense(2)])
    kernel = np.random.default_rng(0).normal(size=(8, 64))
    kernel[:, 4:] = 0.0
    layer.kernel.assign(kernel)
    path = tmp_path / "dead.keras"
    model.save(path)
    return model, path


def test_dead_neurons_fail(died, capsys):
    model, path = died
    arguments = ("audit", path, "--half-space", "--layers", "hidden")
    assert run(*arguments, "--fail-above", "0.2") == 3
    told = capsys.readouterr()
    assert told.err == "keras-mhe: hidden: 60 of 64 neurons are dead\n"
    assert "few living: fewer than 3" in told.out
    # Some are no reason for leaving out the gap.
    kernel = np.random.default_rng(1).normal(size=(8, 64))
    kernel[:, :1] = 0.0
    model.layers[0].kernel.assign(kernel)
    model.save(path)
    assert run(*arguments, "--fail-above", "0.2") == 3
    first, second = capsys.readouterr().err.splitlines()
    assert first == "keras-mhe: hidden: 1 of 64 neurons is dead"
    assert second.startswith("keras-mhe: hidden: gap 0.876, not")


@pytest.mark.parametrize("option", ["--allow-dead", "--allow_dead"])
def test_dead_neurons_that_are_allowed(died, capsys, option):
    arguments = ("--half-space", "--layers", "hidden", option)
    assert run("audit", died[1], *arguments, "--fail-above", "0.2") == 0
    assert capsys.readouterr().err == ""


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


def parts_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path, parts, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def configured(path, **changes):
    """Changes the configuration of the layer `hidden` in a file."""
    parts = parts_of(path)
    config = json.loads(parts["config.json"])
    for layer in config["config"]["layers"]:
        if layer["config"]["name"] == "hidden":
            layer["config"].update(changes)
    pack(path, {**parts, "config.json": json.dumps(config)})


def test_a_packed_file_is_read(saved, capsys):
    model, path = saved
    pack(path, parts_of(path))
    assert run("audit", path) == 0
    assert capsys.readouterr().out == f"{keras_mhe.audit(model)}\n"


def test_a_small_file_that_unpacks_to_much(saved, capsys, monkeypatch):
    _, path = saved
    parts = parts_of(path)
    monkeypatch.setattr(_model_files, "_ALWAYS_ALLOWED", 2**16)
    monkeypatch.setattr(zipfile.ZipExtFile, "read", None)  # Not begun.
    pack(path, {**parts, "model.weights.h5": bytes(2**22)})
    assert run("audit", path) == 2
    assert "unpacks to 4,19" in error_of(capsys)


def test_a_part_that_is_larger_than_its_header_says(saved, capsys):
    _, path = saved
    pack(path, {**parts_of(path), "model.weights.h5": bytes(123_456)})
    size, less = struct.pack("<L", 123_456), struct.pack("<L", 1000)
    path.write_bytes(path.read_bytes().replace(size, less))
    assert run("audit", path) == 2
    assert "damaged, model.weights.h5 is not whole" in error_of(capsys)


def test_a_method_of_packing_that_is_not_bounded(saved, capsys):
    _, path = saved
    pack(path, parts_of(path), zipfile.ZIP_BZIP2)
    assert run("audit", path) == 2
    assert "packed by a method that Keras does not use" in error_of(capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "model.weights.h5 unpacks to 4,294,96"),
        ({"compression": "gzip"}, "holds packed arrays, which Keras does not"),
    ],
)
def test_arrays_that_take_more_than_is_stored(saved, capsys, options, message):
    _, path = saved
    parts = parts_of(path)
    weights = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(weights, "a") as file:
        file.create_dataset("x", (2**15, 2**15), "float32", **options)
    pack(path, {**parts, "model.weights.h5": weights.getvalue()})
    assert run("audit", path) == 2
    assert message in error_of(capsys)


def test_a_configuration_that_asks_for_much(saved, capsys):
    _, path = saved
    configured(path, units=10**12)
    add_weight = keras.Layer.add_weight
    assert run("audit", path) == 2
    assert "its layers ask for weights of 32,000,000,0" in error_of(capsys)
    assert keras.Layer.add_weight is add_weight


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 10**5 + b"]" * 10**5, "recursion"),
        (b"[" + b"[]," * 2**24 + b"[]]", "config.json unpacks to 50,331,652"),
    ],
    ids=["deep", "long"],
)
def test_a_configuration_that_is_no_tree_of_layers(
    saved, capsys, content, message
):
    _, path = saved
    pack(path, {**parts_of(path), "config.json": content})
    assert run("audit", path) == 2
    assert message in error_of(capsys)


def test_files_of_keras_2(saved, capsys, tmp_path):
    _, path = saved
    parts = parts_of(path)
    parts["metadata.json"] = json.dumps({"keras_version": "2.15.0"})
    pack(path, parts)
    assert run("audit", path) == 0  # Keras 3 reads simple ones.
    told = capsys.readouterr().err
    assert told == f"keras-mhe: {path}: of Keras 2 (tf_keras 2.15.0).\n"
    configured(path, time_major=False)  # As an LSTM of Keras 2 has it.
    assert run("audit", path) == 2
    assert (
        "of Keras 2 (tf_keras 2.15.0), and Keras 3 does not load it; make the "
        "model again in Keras 3"
    ) in error_of(capsys)
    for name in ("old.h5", "old.keras"):
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs["keras_version"] = "2.11.0"
        assert run("audit", tmp_path / name) == 2
        assert (
            "older formats are not read, here that of Keras 2 (tf_keras 2.11.0)"
        ) in error_of(capsys)


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


@pytest.mark.parametrize("option", ["--html", "--csv"])
@pytest.mark.parametrize(
    "way", ["itself", "elsewhere/../model.keras", "symbolic", "hard"]
)
def test_the_model_is_not_overwritten(saved, capsys, option, way):
    _, path = saved
    target = path if way == "itself" else path.parent / way
    if way == "symbolic":
        target.symlink_to(path)
    elif way == "hard":
        target.hardlink_to(path)
    elif way != "itself":
        (path.parent / "elsewhere").mkdir()
    before = path.read_bytes()
    assert run("audit", path, option, target) == 2
    assert error_of(capsys) == (
        f"keras-mhe: {target}: the same file as {path}, which it would replace."
    )
    assert path.read_bytes() == before


def test_page_and_table_are_two_files(saved, tmp_path, capsys):
    _, path = saved
    page, link = tmp_path / "out", tmp_path / "link"
    link.symlink_to(page)  # Neither is there yet.
    assert run("audit", path, "--html", page, "--csv", link) == 2
    assert "the same file as" in error_of(capsys)
    assert not page.exists()


needs_full = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs a device that is full"
)


@needs_full
@pytest.mark.parametrize("option", ["--html", "--csv"])
def test_a_full_disk(saved, capsys, option):
    assert run("audit", saved[1], option, "/dev/full") == 2
    assert error_of(capsys).startswith("keras-mhe: /dev/full: not written (No")


@needs_full
def test_full_standard_streams(saved, capsys, monkeypatch):
    _, path = saved
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert run("audit", path) == 2
        line = "keras-mhe: standard output: not written (No"
        assert capsys.readouterr().err.startswith(line)
        monkeypatch.undo()
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert run("audit", path, "--fail-above", "-9") == 3
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_a_terminal_that_lacks_characters(saved, tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((8,)), layers.Dense(3, name="größe")])
    model.save(tmp_path / "name.keras")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert run("audit", tmp_path / "name.keras") == 0
    assert b"gr??e" in terminal.buffer.getvalue()


@keras.saving.register_keras_serializable("keras_mhe_tests")
class Loud(layers.Dense):
    """Warns with its name, as layers of Keras do."""

    def build(self, input_shape):
        warnings.warn(f"layer {self.name}\nwas built", stacklevel=1)
        super().build(input_shape)


@pytest.mark.filterwarnings("ignore:layer")
def test_names_do_nothing_in_what_the_command_says(tmp_path, capfd):
    name, shown = "\x1b[31mred\n\u202e", "?[31mred??"
    path = tmp_path / f"{name}.keras"
    model = keras.Sequential(
        [keras.Input((8,)), Loud(2, name=name), layers.Dense(3)]
    )
    model.save(path)
    page, table = tmp_path / "page.html", tmp_path / "table.csv"
    capfd.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", UserWarning)
        arguments = ("--fail-above", "-9", "--html", page, "--csv", table)
        assert run("audit", path, *arguments) == 3
    told = capfd.readouterr()
    assert f"{shown}.keras: layer ?[31mred.\n" in told.err
    assert f"keras-mhe: {shown}: gap" in told.err
    assert f"\n{shown} " in told.out
    assert run("audit", path, "--layers", "none") == 2
    with pytest.raises(SystemExit):
        run("audit", path, path)
    refused = capfd.readouterr().err
    assert refused.count(f"{shown}.keras") == 2
    for text in (*told, refused, page.read_text(), table.read_text()):
        assert not {"\x1b", "\u202e"} & set(text)


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

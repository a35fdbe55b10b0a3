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


#: Without the working folder, as for an installed command.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(keras_mhe.__file__).parents[1]),
}


@pytest.fixture(name="saved")
def saved_model(tmp_path):
    """A model and its file, at a name that tells nothing of it."""
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


def test_options(saved, capsys):
    model, path = saved
    assert run("audit", path) == 0
    assert capsys.readouterr().out == f"{keras_mhe.audit(model)}\n"
    arguments = (
        "audit", "--layers", "hid*", "--layers", "classes", path,
        "--power", "1", "--distance", "angular",
    )  # fmt: skip
    for space, half_space in (("half", True), ("full", False)):
        assert run(*arguments, f"--{space}-space") == 0
        found = keras_mhe.audit(
            model, power=1, distance="angular", half_space=half_space
        )
        assert capsys.readouterr().out == f"{found}\n"


def test_a_table_that_nobody_reads_to_its_end(saved, tmp_path):
    page = tmp_path / "report.html"
    arguments = ["audit", saved[1], "--html", page, "--fail-above", "0"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "keras_mhe", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
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
    assert run(*arguments, "--fail-above", "0.2", "--allow-dead") == 0
    assert capsys.readouterr().err == ""
    # Some are no reason for leaving out the gap.
    kernel = np.random.default_rng(1).normal(size=(8, 64))
    kernel[:, :1] = 0.0
    model.layers[0].kernel.assign(kernel)
    model.save(path)
    assert run(*arguments, "--fail-above", "0.2") == 3
    first, second = capsys.readouterr().err.splitlines()
    assert first == "keras-mhe: hidden: 1 of 64 neurons is dead"
    assert second.startswith("keras-mhe: hidden: gap 0.876, not")


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


def with_arrays(**options):
    """Adds an array of 4 GiB of which nothing is stored."""

    def spoil(path):
        parts = parts_of(path)
        weights = io.BytesIO(parts["model.weights.h5"])
        with h5py.File(weights, "a") as file:
            file.create_dataset("x", (2**15, 2**15), "float32", **options)
        pack(path, {**parts, "model.weights.h5": weights.getvalue()})

    return spoil


def with_config(content):
    return lambda path: pack(path, {**parts_of(path), "config.json": content})


def with_less_in_its_header(path):
    pack(path, {**parts_of(path), "model.weights.h5": bytes(123_456)})
    size, less = struct.pack("<L", 123_456), struct.pack("<L", 1000)
    path.write_bytes(path.read_bytes().replace(size, less))


def with_other_weights(path):
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("model.weights.h5").header_offset + 3000
    content[start : start + 40] = bytes(
        byte ^ 255 for byte in content[start : start + 40]
    )
    path.write_bytes(content)


def with_code(path):
    keras.Sequential(
        [keras.Input((4,)), layers.Lambda(lambda x: x), layers.Dense(3)]
    ).save(path)


def cut_to(share):
    def spoil(path):
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return spoil


def a_folder(path):
    path.unlink()
    path.mkdir()


#: What happens to a file, and what is said of it then.
SPOILED = {
    "missing": (Path.unlink, "there is no such file."),
    "folder": (a_folder, "a folder; give the .keras file."),
    "foreign": (
        lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)),
        "not a model in Keras' format, or damaged",
    ),
    "another archive": (
        lambda path: pack(path, {"config.json": "{}"}),
        "no model of Keras, without metadata.json",
    ),
    "cut early": (cut_to(0.3), "damaged"),
    "cut late": (cut_to(0.9), "damaged"),
    "other bytes": (
        with_other_weights,
        "damaged, model.weights.h5 is not whole",
    ),
    "larger than told": (
        with_less_in_its_header,
        "damaged, model.weights.h5 is not whole",
    ),
    "another packing": (
        lambda path: pack(path, parts_of(path), zipfile.ZIP_BZIP2),
        "packed by a method that Keras does not use",
    ),
    "large arrays": (with_arrays(), "model.weights.h5 unpacks to 4,294,96"),
    "packed arrays": (
        with_arrays(compression="gzip"),
        "holds packed arrays, which Keras does not",
    ),
    "deep configuration": (
        with_config(b"[" * 10**5 + b"]" * 10**5),
        "recursion",
    ),
    "long configuration": (
        with_config(b"[" + b"[]," * 2**24 + b"[]]"),
        "config.json unpacks to 50,331,652",
    ),
    "many units": (
        lambda path: configured(path, units=10**12),
        "its layers ask for weights of 32,000,000,0",
    ),
    "code": (with_code, "not loaded, because it holds code"),
    "no kernels": (
        lambda path: keras.Sequential([keras.Input((4,)), layers.ReLU()]).save(
            path
        ),
        "`model` must have at least one kernel",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_files_that_are_refused(name, saved, capsys):
    _, path = saved
    spoil, message = SPOILED[name]
    spoil(path)
    add_weight = keras.Layer.add_weight
    assert run("audit", path) == 2
    assert message in error_of(capsys)
    assert keras.Layer.add_weight is add_weight


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.h5", "older formats are not read"),
        ("model.weights.h5", "weights only; give a model"),
    ],
)
def test_files_of_other_formats(name, message, tmp_path, capsys):
    (tmp_path / name).write_bytes(b"\x89HDF")
    assert run("audit", tmp_path / name) == 2
    assert message in error_of(capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", "conv"], "`layers` must name layers"),
        (["--power", "-1"], "`power` must be a finite real number >= 0"),
        (
            ["--distance", "angular", "--fail-above", "0"],
            "no layer can have a gap here",
        ),
    ],
)
def test_arguments_that_are_refused(arguments, message, saved, capsys):
    assert run("audit", saved[1], *arguments) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "usage"),
        (["audit"], 2, "usage"),
        (["count", "m.keras"], 2, "usage"),
        (["audit", "m.keras", "--fail-above", "abc"], 2, "Received: 'abc'."),
        (["audit", "m.keras", "--fail-above", "nan"], 2, "Received: 'nan'."),
        (["--version"], 0, keras_mhe.__version__),
    ],
)
def test_usage(arguments, status, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    assert stopped.value.code == status
    captured = capsys.readouterr()
    assert message in captured.out + captured.err


def test_a_small_file_that_unpacks_to_much(saved, capsys, monkeypatch):
    model, path = saved
    pack(path, parts_of(path))
    assert run("audit", path) == 0
    assert capsys.readouterr().out == f"{keras_mhe.audit(model)}\n"
    monkeypatch.setattr(_model_files, "_ALWAYS_ALLOWED", 2**16)
    monkeypatch.setattr(zipfile.ZipExtFile, "read", None)  # Not begun.
    parts = dict.fromkeys(("metadata.json", "config.json"), b"")
    pack(path, {**parts, "model.weights.h5": bytes(2**22)})
    assert run("audit", path) == 2
    assert "unpacks to 4,19" in error_of(capsys)


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
            env=ENVIRONMENT,
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


@pytest.mark.parametrize(
    ("option", "way"),
    [
        ("--html", "itself"),
        ("--csv", "elsewhere/../model.keras"),
        ("--csv", "symbolic"),
        ("--html", "hard"),
    ],
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

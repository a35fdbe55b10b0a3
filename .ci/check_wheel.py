"""Builds sdist and wheel, installs the wheel elsewhere and uses it there.

Run from the root of the repository with the package `build` installed. The
wheel is made from the sdist, so both are checked.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

BACKEND = "jax"
ROOT = Path(__file__).resolve().parents[1]

# What a user does first, run in an empty folder.
PROGRAM = """
import warnings
import keras, keras_mhe, numpy as np
hidden = keras.layers.Dense(8, kernel_regularizer=keras_mhe.MHE(10.0, power=2))
model = keras.Sequential([keras.Input((16,)), hidden, keras.layers.Dense(1)])
model.compile("adam", "mse")
x = np.random.default_rng(0).normal(size=(64, 16)).astype("float32")
monitor = keras_mhe.callbacks.EnergyMonitor()
model.fit(x, x[:, :1], epochs=5, verbose=0, callbacks=[monitor])
assert model.history.history["energy"][-1] < monitor.initial["energy"]
with warnings.catch_warnings():
    # NumPy's, of the way in which Keras reads arrays of JAX.
    warnings.simplefilter("ignore", DeprecationWarning)
    model.save("model.keras")
print(keras_mhe.__version__, keras_mhe.__file__)
"""


def main() -> None:
    """Runs all steps; raises at the first that fails."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run(sys.executable, "-m", "build", "--outdir", place / "dist", ROOT)
        (wheel,) = place.glob("dist/*.whl")
        (sdist,) = place.glob("dist/*.tar.gz")
        check_contents(wheel, sdist)
        venv.create(place / "venv", with_pip=True)
        python = place / "venv" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", f"{wheel}[{BACKEND}]")
        elsewhere = place / "elsewhere"
        elsewhere.mkdir()
        printed = run(python, "-W", "error", "-c", PROGRAM, cwd=elsewhere)
        version, origin = printed.split()
        check(version in wheel.name, f"{wheel.name} holds version {version}")
        check(origin.startswith(folder), f"imported from {origin}")
        command = python.with_name("keras-mhe")
        for start in ([command], [python, "-m", "keras_mhe"]):
            table = run(*start, "audit", "model.keras", cwd=elsewhere)
            check(table.startswith("layer"), f"{start} audit printed {table}")
        print(f"{wheel.name}: built, installed and used")


def check_contents(wheel: Path, sdist: Path) -> None:
    """Checks which files the two archives hold."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for part in ("keras_mhe/py.typed", "keras_mhe/analysis/page.html"):
        check(part in names, f"{part} is missing in the wheel")
    top = {name.split("/")[0] for name in names}
    (metadata,) = top - {"keras_mhe"}
    check(metadata.endswith(".dist-info"), f"the wheel holds {sorted(top)}")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    inside = {name.partition("/")[2] for name in names}
    for part in ("keras_mhe/py.typed", "LICENSE", "tests/conftest.py"):
        check(part in inside, f"{part} is missing in the sdist")


def check(holds: bool, message: str) -> None:
    """Raises unless the condition holds."""
    if not holds:
        raise SystemExit(f"check_wheel.py: {message}")


def run(*command: object, cwd: Path = ROOT) -> str:
    """Runs a command and returns what it prints."""
    environment = {**os.environ, "KERAS_BACKEND": BACKEND}
    environment.pop("PYTHONPATH", None)
    finished = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        text=True,
        capture_output=True,
    )
    if finished.returncode:
        sys.stderr.write(finished.stdout + finished.stderr)
        raise SystemExit(f"check_wheel.py: {command} failed")
    return finished.stdout


if __name__ == "__main__":
    main()

"""What every public name owes: docstring, running example, true defaults."""

import ast
import doctest
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import keras_mhe

PACKAGE = Path(keras_mhe.__file__).parent
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(PACKAGE)], "keras_mhe.")
    # The other backends' modules cannot be imported here.
    if not re.fullmatch(r"keras_mhe\._backend\._\w+", module.name)
)
SUBPACKAGES = [name for name in MODULES if "._" not in name]
FRAMEWORKS = {"tensorflow", "jax", "torch"}

PUBLIC = {
    f"{module}.{name}": getattr(importlib.import_module(module), name)
    for module in SUBPACKAGES
    for name in importlib.import_module(module).__all__
}
CALLABLES = {name: value for name, value in PUBLIC.items() if callable(value)}
DOCTESTS = {
    test.name: test
    for module in ["keras_mhe", *MODULES]
    for test in doctest.DocTestFinder(exclude_empty=True).find(
        importlib.import_module(module)
    )
    if test.examples
}


def source_files():
    return sorted(PACKAGE.rglob("*.py"))


def imports_of(path):
    """Names of the modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_top_level_names():
    assert sorted(keras_mhe.__all__) == keras_mhe.__all__
    for name in keras_mhe.__all__:
        assert hasattr(keras_mhe, name)
    assert keras_mhe.MHE is keras_mhe.regularizers.MHE
    assert re.fullmatch(r"\d+\.\d+\.\d+", keras_mhe.__version__)


@pytest.mark.once
@pytest.mark.parametrize("module", SUBPACKAGES)
def test_all_is_sorted_and_complete(module):
    package = importlib.import_module(module)
    assert package.__doc__
    # Names in capitals first, as ruff sorts them.
    in_order = sorted(
        package.__all__, key=lambda name: (not name.isupper(), name)
    )
    assert in_order == package.__all__
    imported = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert imported == set(package.__all__)


@pytest.mark.once
@pytest.mark.parametrize("name", CALLABLES)
def test_docstring_with_an_example(name):
    documentation = inspect.getdoc(CALLABLES[name])
    assert documentation
    assert re.search(r"^Examples?:$", documentation, re.MULTILINE)
    assert ">>> " in documentation


@pytest.mark.parametrize("name", DOCTESTS)
def test_example_runs(name):
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    report = []
    runner.run(DOCTESTS[name], out=report.append)
    assert not runner.failures, "".join(report)


def signatures():
    """Public functions, constructors and public methods, with docstrings."""
    for name, value in CALLABLES.items():
        yield name, inspect.signature(value), inspect.getdoc(value)
        if not inspect.isclass(value):
            continue
        for method_name, member in vars(value).items():
            method = getattr(value, method_name)
            documented = "Args:" in (inspect.getdoc(method) or "")
            if not method_name.startswith("_") and documented and member:
                signature = inspect.signature(method)
                if inspect.isfunction(member):
                    _, *rest = signature.parameters.values()  # Without self.
                    signature = signature.replace(parameters=rest)
                yield (
                    f"{name}.{method_name}",
                    signature,
                    inspect.getdoc(method),
                )


SIGNATURES = {name: rest for name, *rest in signatures()}


def documented_arguments(documentation):
    """Maps each argument of the section `Args:` to its text."""
    section = re.search(
        r"^Args:\n(.*?)(?=^\S|\Z)", documentation, re.MULTILINE | re.DOTALL
    )
    if section is None:
        return {}
    entries = re.split(r"^    (?=\w+: )", section[1], flags=re.MULTILINE)
    pairs = [entry.split(":", 1) for entry in entries if entry.strip()]
    return {name: " ".join(text.split()) for name, text in pairs}


@pytest.mark.once
@pytest.mark.parametrize("name", SIGNATURES)
def test_documented_defaults_are_those_of_the_signature(name):
    signature, documentation = SIGNATURES[name]
    documented = documented_arguments(documentation)
    if not documented and "Attributes:" in documentation:
        return  # A record: its fields are documented as attributes.
    assert list(documented) == list(signature.parameters)
    for argument, parameter in signature.parameters.items():
        default = re.search(r"Defaults to `([^`]*)`", documented[argument])
        if parameter.default is inspect.Parameter.empty:
            assert default is None, argument
            continue
        assert default is not None, argument
        assert ast.literal_eval(default[1]) == parameter.default, argument
        assert "bool" not in documented[argument].lower().split()[0] or (
            isinstance(parameter.default, bool)
        )


@pytest.mark.once
def test_every_public_argument_is_annotated():
    for name, (signature, _) in SIGNATURES.items():
        for parameter in signature.parameters.values():
            assert parameter.annotation is not parameter.empty, name


# Imports.


@pytest.mark.once
def test_frameworks_are_imported_in_the_backend_folder_only():
    for path in source_files():
        frameworks = {
            name.split(".")[0] for name in imports_of(path)
        } & FRAMEWORKS
        if path.parent.name == "_backend" and path.stem != "__init__":
            assert frameworks == {path.stem.removeprefix("_")}
        else:
            assert not frameworks, path


def test_importing_loads_the_chosen_framework_only():
    backend = keras.backend.backend()
    others = sorted(FRAMEWORKS - {backend})
    program = (
        "import sys\n"
        "import keras\n"
        f"before = set({others}) & set(sys.modules)\n"
        "import keras_mhe\n"
        f"assert {backend!r} in sys.modules\n"
        f"assert set({others}) & set(sys.modules) == before\n"
        f"names = [f'keras_mhe._backend._{{name}}' for name in {others}]\n"
        "assert not set(names) & set(sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        check=True,
    )


@pytest.mark.once
def test_private_keras_is_not_used():
    for path in source_files():
        for name in imports_of(path):
            assert not name.startswith("keras.src"), path
        assert "keras.src" not in path.read_text(), path


#: Lower layers first; a file imports from its own and from lower ones.
LAYERS = (
    ("_typing", "_repr"),
    ("_numerics", "_validation", "_registration", "_backend"),
    ("_figure", "_files", "_text", "_compilation"),
    ("ops",),
    ("_neurons",),
    (
        "regularizers",
        "constraints",
        "initializers",
        "layers",
        "losses",
        "metrics",
    ),
    ("analysis",),
    ("callbacks", "models", "plots"),
    ("_command_parser", "_model_files"),
    ("_command_line",),
    ("__main__",),
)
#: The same within `ops`.
FAMILIES = (
    ("_pairs",),
    ("_levels", "_heads", "_spectral", "_spheres"),
    ("_energy",),
    ("_relatives",),
)


@pytest.mark.once
@pytest.mark.parametrize(
    ("layers", "folder"), [(LAYERS, PACKAGE), (FAMILIES, PACKAGE / "ops")]
)
def test_imports_go_one_way(layers, folder):
    levels = {name: k for k, names in enumerate(layers) for name in names}
    depth = len(folder.relative_to(PACKAGE.parent).parts)
    prefix = ".".join(folder.relative_to(PACKAGE.parent).parts) + "."
    for path in folder.rglob("*.py"):
        own = path.relative_to(folder).with_suffix("").parts[0]
        if own == "__init__":
            continue
        for name in imports_of(path):
            if not name.startswith(prefix):
                continue
            imported = name.split(".")[depth]
            message = f"{path} imports {name}"
            assert levels[imported] <= levels[own], message
            same_level = levels[imported] == levels[own]
            assert imported == own or not same_level, message


def test_unsupported_backend_is_named():
    program = (
        "import sys, types\n"
        "keras = types.ModuleType('keras')\n"
        "keras.ops = types.ModuleType('keras.ops')\n"
        "keras.backend = types.ModuleType('keras.backend')\n"
        "keras.backend.backend = lambda: 'numpy'\n"
        "sys.modules.update({'keras': keras, 'keras.ops': keras.ops})\n"
        f"sys.path.insert(0, {str(PACKAGE.parent)!r})\n"
        "parent = types.ModuleType('keras_mhe')\n"
        f"parent.__path__ = [{str(PACKAGE)!r}]\n"
        "sys.modules['keras_mhe'] = parent\n"
        "import keras_mhe._backend\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert "KERAS_BACKEND='numpy'" in finished.stderr


@pytest.mark.parametrize(
    "function",
    [
        keras_mhe.audit,
        keras_mhe.analysis.neuron_kernels,
        lambda model: keras_mhe.regularize(model, keras_mhe.MHE()),
    ],
)
def test_models_of_keras_2_are_named(function):
    module = {"__module__": "tf_keras.src.engine.training"}
    kind = type("Functional", (type("Model", (), module),), {})
    with pytest.raises(ValueError, match="`model` must be made by Keras 3"):
        function(kind())

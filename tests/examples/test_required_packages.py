import ast
import importlib
import sys
from pathlib import Path

import pytest

from common import required_packages

EXAMPLES = Path(required_packages.__file__).parents[1]


@pytest.mark.parametrize("program", ["sphereface_plus", "mhe_gan"])
def test_programs_check_before_they_import(program):
    tree = ast.parse((EXAMPLES / f"{program}.py").read_text())
    imported = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported.append(node.module)
    others = [
        name
        for name in imported
        if name.partition(".")[0] not in sys.stdlib_module_names
    ]
    assert others[0] == "common.required_packages"


def test_missing_packages_end_the_program_in_one_line(monkeypatch, capsys):
    for module in ("PIL", "sklearn"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit) as error:
        importlib.reload(required_packages)
    assert error.value.code == 2
    assert capsys.readouterr().err == (
        "pillow, scikit-learn not installed. "
        'Run: pip install ".[examples]" in the folder of this repository\n'
    )


def test_nothing_happens_if_all_are_there(capsys):
    importlib.reload(required_packages)
    assert capsys.readouterr() == ("", "")

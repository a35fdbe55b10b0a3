import importlib
import sys

import pytest

from common import required_packages


def test_programs_check_before_they_import():
    for program in ("cifar100", "sphereface_plus", "mhe_gan", "thomson"):
        module = importlib.import_module(program)
        assert module.common.required_packages is required_packages


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

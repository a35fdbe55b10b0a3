"""The site's build notices a public name without an API page."""

import importlib
import importlib.util
import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest

import keras_mhe

pytestmark = pytest.mark.once

HOOKS = Path(__file__).resolve().parents[2] / "docs" / "hooks.py"


@pytest.fixture
def hooks():
    spec = importlib.util.spec_from_file_location("docs_hooks", HOOKS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_public_names_are_those_of_the_package(hooks):
    modules = ["keras_mhe"] + [
        f"keras_mhe.{name}"
        for name in keras_mhe.__all__
        if inspect.ismodule(getattr(keras_mhe, name))
    ]
    expected = {
        f"{module}.{name}"
        for module in modules
        for name in importlib.import_module(module).__all__
    }
    assert set(hooks.public_names(hooks.PACKAGE)) == expected


def test_missing_name_is_a_warning(hooks, caplog):
    page = SimpleNamespace(url="api/ops/")
    names = hooks.public_names(hooks.PACKAGE)
    missing = "keras_mhe.ops.hyperspherical_energy"
    html = "".join(f'<h2 id="{name}">' for name in names if name != missing)
    assert hooks.on_post_page(html, page=page) == html
    hooks.on_post_build()
    assert [record.args for record in caplog.records] == [(missing,)]


def test_other_pages_do_not_count(hooks, caplog):
    names = hooks.public_names(hooks.PACKAGE)
    html = "".join(f'<h2 id="{name}">' for name in names)
    hooks.on_post_page(html, page=SimpleNamespace(url="concepts/"))
    hooks.on_post_build()
    assert len(caplog.records) == len(names)

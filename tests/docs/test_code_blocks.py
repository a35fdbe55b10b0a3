"""Python code in README.md and on the documentation pages runs as written."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import keras_mhe

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

#: Stands for a file of `examples/`. The form in one line is Python too, which
#: `ruff format` would change.
SNIPPET = re.compile(r"^--8<--\n(.+)\n--8<--$", re.MULTILINE)


def text_of(path):
    """Returns a page with the files that it shows."""

    def file_of(match):
        return (ROOT / "examples" / match[1]).read_text()

    return SNIPPET.sub(file_of, path.read_text())


BLOCKS = {
    str(path.relative_to(ROOT)): list(FENCE.finditer(text_of(path)))
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
}
PAGES = [name for name, blocks in BLOCKS.items() if blocks]

#: A whole program, the command that starts it and what it prints.
SCRIPT = re.compile(
    r'^```python title="(?P<file>[\w.]+)"\n(?P<source>.*?)^```$'
    r".*?^```bash\n(?P<command>.*?)^```$"
    r".*?^```text\n(?P<output>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
#: One on the page of each backend about several devices.
SCRIPTS = {
    backend: f"docs/distributed/{backend}.md"
    for backend in ("tensorflow", "jax", "torch")
}


def test_there_is_code():
    assert {
        "docs/index.md",
        "docs/quickstart.md",
        "docs/concepts.md",
    } <= set(PAGES)


def test_every_python_fence_is_found():
    for name, blocks in BLOCKS.items():
        text = (ROOT / name).read_text()
        fences = re.findall(r"^\s*[`~]{3,}\s*py", text, re.MULTILINE)
        scripts = SCRIPT.findall(text) if name in SCRIPTS.values() else []
        assert len(fences) == len(blocks) + len(scripts), name


@pytest.mark.parametrize("name", PAGES)
def test_code_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": name}
    for block in BLOCKS[name]:
        line = block.string.count("\n", 0, block.start(1))
        if ">>> " in block[1]:
            check_examples(block[1], namespace, name, line)
        else:
            # Blank lines in front put the page's line into a traceback.
            source = "\n" * line + block[1]
            exec(compile(source, str(ROOT / name), "exec"), namespace)


@pytest.mark.slow
def test_script_of_the_backend_runs(tmp_path):
    name = SCRIPTS[keras.backend.backend()]
    script = SCRIPT.search((ROOT / name).read_text())
    (tmp_path / script["file"]).write_text(script["source"])
    programs = str(Path(sys.executable).parent)
    finished = subprocess.run(
        script["command"],
        shell=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": os.pathsep.join([programs, os.environ["PATH"]]),
            "PYTHONPATH": str(Path(keras_mhe.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.stdout == script["output"], finished.stderr
    assert finished.returncode == 0, finished.stderr


def check_examples(source, namespace, name, line):
    """Runs a block with prompts; its names stay for the next block."""
    example = doctest.DocTestParser().get_doctest(
        source, namespace, name, str(ROOT / name), line
    )
    # The parser gives the examples a copy of the names.
    example.globs = namespace
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    report = []
    runner.run(example, out=report.append, clear_globs=False)
    assert not runner.failures, "".join(report)

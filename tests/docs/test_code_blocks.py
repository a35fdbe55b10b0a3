"""Python code in README.md and on the documentation pages runs as written."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

BLOCKS = {
    str(path.relative_to(ROOT)): list(FENCE.finditer(path.read_text()))
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
}
PAGES = [name for name, blocks in BLOCKS.items() if blocks]


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
        assert len(fences) == len(blocks), name


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

"""What the command lines of the programs have in common."""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import mhe_gan
import sphereface_plus
from common.command_line import check_ending, table_of_recipes
from support.command_line import refused

PROGRAMS = (mhe_gan, sphereface_plus)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_every_option_has_help_with_a_default(program, monkeypatch):
    parsers = []

    def parse(self, arguments):
        parsers.append(self)
        raise SystemExit

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    with pytest.raises(SystemExit):
        program.main([])
    (parser,) = parsers
    formatter = parser._get_formatter()
    for action in parser._actions[1:]:
        assert action.help
        text = formatter._expand_help(action)
        assert "(default: " in text or "(no default)" in text, text


@pytest.mark.parametrize(
    ("program", "lines"),
    [
        (
            mhe_gan,
            ["digits 600 64 0.0005 0.25 0.99 False 50 6 360 2"],
        ),
        (
            sphereface_plus,
            ["glyphs 8 epochs 0.1 4 epochs 0.05 128 small 64 16.0 0.0005"],
        ),
    ],
    ids=["mhe_gan", "sphereface_plus"],
)
def test_help_shows_the_recipes(program, lines, capsys):
    with pytest.raises(SystemExit):
        program.main(["--help"])
    shown = [" ".join(x.split()) for x in capsys.readouterr().out.splitlines()]
    for line in lines:
        assert line in shown


def test_columns_of_a_table():
    recipes = {
        name: SimpleNamespace(steps=steps, stage=SimpleNamespace(rate=rate))
        for name, steps, rate in (("short", 5, 0.1), ("all", 10_000, 0.25))
    }
    columns = {"steps": "steps", "rate": "stage.rate"}
    assert table_of_recipes(recipes, columns).splitlines() == [
        "         steps  rate",
        "  short      5   0.1",
        "  all    10000  0.25",
    ]


def test_endings(capsys):
    def check(job, output):
        options = argparse.Namespace(evaluate=job, output=output)
        parser = argparse.ArgumentParser("name.py")
        check_ending(parser, options, "evaluate", ".json")

    for job, output in ((None, "run"), ("m", None), ("m", "scores.json")):
        check(job, output and Path(output))
    message = refused(lambda _: check("m", Path("scores.txt")), [], capsys)
    assert message == (
        "name.py: error: --output of --evaluate must end in .json"
    )


def test_a_stopped_program_ends_at_once_with_all_that_it_said():
    program = (
        "import atexit\n"
        "from common.program import leave, run_program\n"
        "atexit.register(print, 'too late')\n"
        "def work():\n"
        "    print('loss: 0.5', end='')\n"
        "    raise KeyboardInterrupt\n"
        "leave(run_program('some.py', work))\n"
    )
    examples = Path(mhe_gan.__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(examples)},
    )
    assert done.returncode == 130
    assert done.stdout == "loss: 0.5\n"
    assert done.stderr == (
        "some.py: stopped. The same command continues a run.\n"
    )

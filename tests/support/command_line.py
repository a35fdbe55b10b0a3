"""What programs say on standard error when they refuse something."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest


def refused(
    main: Callable[[Sequence[str]], Any],
    arguments: Sequence[str],
    capsys: pytest.CaptureFixture[str],
) -> str:
    """Returns the one line with which a program refuses its options."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    *usage, message = capsys.readouterr().err.splitlines()
    assert ": error: " in message
    assert not any(": error: " in line for line in usage)
    return message


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Returns what a program said when it ended, one line."""
    (message,) = capsys.readouterr().err.splitlines()
    return message

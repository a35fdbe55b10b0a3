"""What a program does when something goes wrong that its user can mend."""

import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from common.dataset_types import DataError
from common.run_folder import RunError

#: Exit code of a program that its user stopped.
STOPPED = 130


def run_program(
    name: str,
    work: Callable[[], int | None],
    *,
    resumes: bool = True,
    output: str = "by --output",
) -> int:
    """Works, and ends in one line instead of a traceback.

    Args:
        name: Name of the program.
        work: What it does; returns an exit code, `None` for 0.
        resumes: Whether the same command goes on where it was stopped.
        output: How the place that it writes to is given.

    Returns:
        The exit code: that of `work`, 2 for unusable input or a full disk,
        130 if the user stopped it.
    """
    try:
        return work() or 0
    except (DataError, RunError) as error:
        return _report(name, str(error))
    except KeyboardInterrupt:
        print(flush=True)  # Ends the line of a progress bar.
        advice = " The same command continues a run." if resumes else ""
        _report(name, f"stopped.{advice}")
        return STOPPED
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            again = "; the same command continues a run" if resumes else ""
            advice = f"Make room{again}."
        else:
            advice = f"Give another place, for example {output}."
        return _report(name, f"{error}. {advice}")


def _report(name: str, message: str) -> int:
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    return 2


def leave(code: int) -> NoReturn:
    """Ends the process.

    A stopped one at once: what a framework still compiles in other threads
    makes some of them crash when Python shuts down.
    """
    if code == STOPPED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)

"""What a program does when something goes wrong that its user can mend."""

import errno
import sys
from collections.abc import Callable

from common.dataset_types import DataError
from common.run_folder import RunError


def run_program(name: str, work: Callable[[], None]) -> int:
    """Works, and ends in one line instead of a traceback.

    Args:
        name: Name of the program.
        work: What it does.

    Returns:
        The exit code: 0, 2 for unusable input or a full disk, 130 if the user
        stopped it.
    """
    try:
        work()
    except (DataError, RunError) as error:
        return _report(name, str(error))
    except KeyboardInterrupt:
        _report(name, "stopped. The same command continues a run.")
        return 130
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "Make room; the same command continues a run."
        else:
            advice = "Give another place, for example by --output."
        return _report(name, f"{error}. {advice}")
    return 0


def _report(name: str, message: str) -> int:
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    return 2

"""Prints one summary line for several pytest runs: `812 passed, 0 failed`.

Takes their JUnit files, one for each environment of tox. Fails if there are
not three, if a test failed, or if none passed.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter

NUM_BACKENDS = 3


def main(paths: list[str]) -> int:
    """Prints the counts and returns the exit code."""
    total: Counter[str] = Counter()
    for path in paths:
        try:
            suites = list(ElementTree.parse(path).iter("testsuite"))
        except (OSError, ElementTree.ParseError) as error:
            print(f"{path}: {error}")
            continue
        for suite in suites:
            for name in ("tests", "failures", "errors", "skipped"):
                total[name] += int(suite.get(name, 0))
            total["runs"] += 1
    missing = max(NUM_BACKENDS - total["runs"], 0)
    if missing:
        print(f"{missing} of {NUM_BACKENDS} backends have no result")
    failed = total["failures"] + total["errors"] + missing
    passed = (
        total["tests"] - total["failures"] - total["errors"] - total["skipped"]
    )
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"{passed} passed, {failed} failed{skipped}")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# ruff: noqa: INP001 - a script beside the package
"""Tell how many of the privileged tests ran and how many skipped.

Reads the ids that `pytest --collect-only --quiet -m privileged` prints from standard input, and the
outcomes from the JUnit report named as its argument.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET


def main() -> None:
    """Print one line."""
    privileged = {line.strip() for line in sys.stdin if "::" in line}
    report = ET.fromstring(Path(sys.argv[1]).read_text(encoding="utf-8"))  # noqa: S314 - our own
    outcomes: dict[str, str] = {}  # of the last run, of those that had to run again
    for case in report.iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        if name in privileged:
            outcomes[name] = "skipped" if case.find("skipped") is not None else "ran"
    counts = Counter(outcomes.values())
    print(f"privileged tests: {counts['ran']} ran, {counts['skipped']} skipped")  # noqa: T201


main()

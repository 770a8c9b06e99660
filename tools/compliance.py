"""Write docs/rfc/compliance.md: every requirement and the tests that carry its id.

    pytest tests --collect-only -q --rfc-marks=build/marks.json
    python tools/compliance.py build/marks.json            # write the page
    python tools/compliance.py build/marks.json --check    # fail if the page is out of date

Requirements stand in docs/rfc/requirements.tsv; rows that plait does not meet, or not whole, in
docs/rfc/exceptions.md with the reason.  Sections named in `COMPLETE` may leave no row open.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "docs" / "rfc"
PAGE: Final = FOLDER / "compliance.md"

COMPLETE: Final = frozenset({"1", "2", "3", "4", "5", "6", "7", "9", "11", "12"})
"""Sections in which every row needs a test or an exception."""

SHOWN: Final = 3
"""Tests named for a row; the others are counted."""

HEAD: Final = """\
# What is required, and which tests prove it

Made by `make compliance` from the marks of the tests; do not edit.  The rows are those of
[requirements.tsv](requirements.tsv); what plait does not meet, or no test can show, has
its reason in [exceptions.md](exceptions.md).
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One requirement."""

    section: str
    title: str
    id: str
    level: str
    requirement: str


def read_rows() -> list[Row]:
    """Return all requirements in order."""
    with (FOLDER / "requirements.tsv").open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(reader)
        return [Row(*fields) for fields in reader]


def read_exceptions() -> dict[str, str]:
    """Return the reason of each row that has no test on purpose."""
    text = (FOLDER / "exceptions.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| ([\w.-]+) \| (.+) \|$", text, re.MULTILINE)
    return {row: reason for row, reason in found if row != "id"}


def read_marks(path: Path) -> dict[str, list[str]]:
    """Return the functions and scripts that carry each id, parameters left out."""
    marks: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    return {row: sorted({_place(node) for node in nodes}) for row, nodes in marks.items()}


def _place(node: str) -> str:
    script = re.search(r"\[.*?([\w./-]+\.pkt)\b.*\]", node)
    return f"tests/scripts/{script[1]}" if script else node.split("[", maxsplit=1)[0]


def page(
    rows: Sequence[Row], tests: Mapping[str, Sequence[str]], exceptions: Mapping[str, str]
) -> str:
    """Return the whole page."""
    sections: dict[str, list[Row]] = {}
    for row in rows:
        sections.setdefault(row.section, []).append(row)
    out = [HEAD, "| section | rows | tested | excepted | open |", "|---|---|---|---|---|"]
    for section, members in sections.items():
        count = Counter(_standing(row, tests, exceptions) for row in members)
        name = f"{section}. {members[0].title}"
        out.append(
            f"| {name} | {len(members)} | {count['tested']} | {count['excepted']} "
            f"| {count['open']} |"
        )
    for section, members in sections.items():
        out += ["", f"## {section}. {members[0].title}", ""]
        out += ["| id | level | requirement | proof |", "|---|---|---|---|"]
        for row in members:
            text = row.requirement.replace("|", "\\|")
            out.append(f"| {row.id} | {row.level} | {text} | {_proof(row, tests, exceptions)} |")
    return "\n".join(out) + "\n"


def _standing(row: Row, tests: Mapping[str, Sequence[str]], exceptions: Mapping[str, str]) -> str:
    if row.id in exceptions:
        return "excepted"
    return "tested" if row.id in tests else "open"


def _proof(row: Row, tests: Mapping[str, Sequence[str]], exceptions: Mapping[str, str]) -> str:
    nodes = tests.get(row.id, ())
    shown = [_show(node) for node in nodes[:SHOWN]]
    if len(nodes) > SHOWN:
        shown.append(f"{len(nodes) - SHOWN} more")
    if row.id in exceptions:
        shown.append(f"*except:* {exceptions[row.id]}")
    return ", ".join(shown) or "open"


def _show(node: str) -> str:
    path, _, name = node.partition("::")
    label = name.rpartition("::")[2] or path.removeprefix("tests/scripts/")
    return f"[{label}](../../{path})"


def complaints(
    rows: Sequence[Row], tests: Mapping[str, Sequence[str]], exceptions: Mapping[str, str]
) -> list[str]:
    """Return what is wrong with marks, exceptions or complete sections."""
    known = {row.id for row in rows}
    wrong = [f"no requirement is called {row}: {tests[row][0]}" for row in tests.keys() - known]
    wrong += [f"no requirement is called {row}: exceptions.md" for row in exceptions.keys() - known]
    wrong += [
        f"{row.id} has neither a test nor an exception"
        for row in rows
        if row.section in COMPLETE and _standing(row, tests, exceptions) == "open"
    ]
    return sorted(wrong)


def main(arguments: Sequence[str]) -> int:
    """Write or check the page and return the exit status."""
    rows, exceptions = read_rows(), read_exceptions()
    tests = read_marks(Path(arguments[0]))
    for complaint in (wrong := complaints(rows, tests, exceptions)):
        print(f"compliance: {complaint}", file=sys.stderr)
    made = page(rows, tests, exceptions)
    if "--check" not in arguments:
        PAGE.write_text(made, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != made:
        print("compliance: docs/rfc/compliance.md is out of date: make compliance", file=sys.stderr)
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

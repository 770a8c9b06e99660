"""`make bench`: plait, interpreted and compiled, beside its peers.

In each round both builds and the peer of a row take turns; figures are medians of the rounds, with
the lowest and the highest, and ratios are those of the medians.  cubic everywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from libraries import PURE, MissingError, compiled
from ns3_peer import Ns3
from reporting import is_root, machine, options, save, turns
from results import HEADINGS, Bench
from rows import rows as all_rows

INTERRUPTED: Final = 130
"""The status of a program that SIGINT ended, in shells."""


def main() -> int:
    """Measure, print, write JSON and Markdown."""
    parser = options(__doc__, rounds=3, what="row")
    parser.add_argument("--seconds", type=float, default=3, help="length of each run")
    parser.add_argument("--markdown", type=Path, help="write the table to this file as well")
    chosen = parser.parse_args()
    if not is_root("bench"):
        return 2
    status = 0
    with Ns3() as ns3:
        wanted = [row for row in all_rows(ns3) if chosen.only in row.name]
        bench = Bench(wanted, *libraries())
        began = os.getloadavg()[0]
        try:
            for number, row in turns(chosen, wanted):
                for line in bench.take_turns(number, row, chosen.seconds):
                    print(f"round {number}  {line}", flush=True)
        except KeyboardInterrupt:
            print("interrupted: what was measured so far")
            status = INTERRUPTED
    heading = (
        f"{machine()}, load {began:.1f} before and {os.getloadavg()[0]:.1f} after; "
        f"{chosen.rounds} rounds of {chosen.seconds:g} s, median (lowest to highest):"
    )
    table = markdown(bench, heading)
    print(f"\n{table}", end="")
    if chosen.markdown:
        chosen.markdown.write_text(table, encoding="utf-8")
    save(chosen.json, heading=heading, rows=bench.records(), missing=bench.missing)
    return status


def libraries() -> tuple[dict[str, Path], dict[str, str]]:
    """Return where the builds are, and why one is not."""
    print("the core is compiled first, if it has changed: minutes", flush=True)
    try:
        return {"pure": PURE, "compiled": compiled()}, {}
    except MissingError as missing:
        return {"pure": PURE}, {"compiled": str(missing)}


def markdown(bench: Bench, heading: str) -> str:
    """Return the table as README.md has it, in columns."""
    rows = [HEADINGS, *bench.cells()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(cells, widths) for cells in rows]
    lines.insert(1, _line(["-" * width for width in widths], widths))
    return "\n".join([heading, "", *lines, "", *bench.notes()]) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


if __name__ == "__main__":
    sys.exit(main())

"""What the benchmarks that need root have in common: their options, their tables, their files."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from rich.table import Table

from plait.wire.checksum import BACKEND

if TYPE_CHECKING:
    from rich.console import Console

Row = dict[str, object]


class HasName(Protocol):
    """What is measured."""

    @property
    def name(self) -> str:
        """As the table calls it."""


_Named = TypeVar("_Named", bound=HasName)


def options(doc: str | None, *, rounds: int, what: str) -> argparse.ArgumentParser:
    """Return a parser of what all of them take; `what` is measured in each round."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"runs of each {what}")
    parser.add_argument("--only", default="", help="measure names that contain this")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    return parser


def is_root(name: str) -> bool:
    """Return whether we may make namespaces and TUN devices; say so if not."""
    if os.geteuid() == 0:
        return True
    print(f"{name}: needs root for namespaces and TUN devices: use sudo", file=sys.stderr)
    return False


def python() -> str:
    """Return what runs this."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def machine() -> str:
    """Return what figures depend on."""
    system = f"{platform.system()} {platform.release()}"
    return f"{python()}, {os.cpu_count()} cores, {system}, checksums by {BACKEND}"


def turns(chosen: argparse.Namespace, rows: Sequence[_Named]) -> Iterator[tuple[int, _Named]]:
    """Yield the number of a round, from 1 on, and a row: all that were chosen, round by round."""
    for number in range(chosen.rounds):
        for row in rows:
            if chosen.only in row.name:
                yield number + 1, row


def show(rows: list[Row], console: Console, headings: Sequence[str], title: str) -> None:
    """Print a table; the first column names the row."""
    table = Table(headings[0], title=title)
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    console.print(table)


def save(path: Path | None, **values: object) -> None:
    """Write JSON if that is wanted."""
    if path is not None:
        path.write_text(json.dumps(values, indent=2) + "\n")

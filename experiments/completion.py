"""A file over two paths, equal ones and very unequal ones.

The paths are those of [two_paths.toml](../examples/sim/two_paths.toml), each of 10 Mbit/s and 20
ms; in the second table the second one has 1 Mbit/s and 200 ms. A file is done when its last octet
is there, whichever way that took. A large file should take half the time over two equal paths, and
a small one no longer than over the better path alone. The control is plain TCP on that path.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from experiments.goodput import PLAIN
from experiments.study import (
    SCHEDULERS,
    Case,
    Measures,
    Settings,
    Study,
    Table,
    policies,
    scenario,
)

FILE: Final = "two_paths.toml"
SIZES: Final = {"64 KB": 64 << 10, "1 MB": 1 << 20, "16 MB": 16 << 20}
WORLDS: Final[dict[str, dict[str, object]]] = {
    "equal": {},
    "unequal": {"links.two.rate_mbit": 1, "links.two.delay_ms": 100},
}
FIRST: Final = "TCP on the first"


def completion(column: str, result: dict[str, Any]) -> Measures:
    """Return seconds from the first packet to the last octet."""
    flow = result["flows"]["file"]
    done = flow["completed"]
    return {column: None if done is None else done - flow["started"]}


def cases(_: int, quick: bool) -> list[Case]:
    """Return every scheduler, and TCP, with every size on both pairs of paths."""
    rows: dict[str, Settings] = {FIRST: PLAIN, **policies(SCHEDULERS)}
    return [
        Case(
            table=world,
            row=row,
            scenario=scenario(
                FILE, {**changes, "flows.file.octets": size, "flows.file.settings": settings}
            ),
            measure=partial(completion, column),
        )
        for world, changes in WORLDS.items()
        for column, size in SIZES.items()
        for row, settings in rows.items()
        if not quick or size <= 1 << 20
    ]


READING: Final = """\
Over equal paths all schedulers that share halve the time of a large file, `blest` more slowly for
1 MB; 64 KB are done before a second subflow is of use. `cheap-first`, `smallest-delay` and
`active-standby` stay on one path by intent.

Over unequal paths a large file gains a twentieth at most, and 1 MB nothing: a slow path can only
hold it up. What is on its way there at the end is sent on the fast one as well, so that no
scheduler takes a tenth longer than plain TCP, where filling both paths once took twice its time.
"""

STUDY: Final = Study(
    name="completion",
    title="Files over two paths",
    text=__doc__,
    reading=READING,
    tables=(
        Table(name="equal", caption="Seconds over two equal paths:", digits=3),
        Table(name="unequal", caption="Seconds over two very unequal paths:", digits=3),
    ),
    cases=cases,
)

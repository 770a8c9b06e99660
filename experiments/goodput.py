"""A download over Wi-Fi (8 Mbit/s, 20 ms round trip) and 3G (2 Mbit/s, 150 ms).

The networks, with 80 ms and 2 s of queue, are those of
[wifi_3g.toml](../examples/sim/wifi_3g.toml); goodput is that of the fourth second to the twelfth.
Two networks should give what both have, and never less than the better one. The first table has
room for everything; the second limits the receive buffer. A slow network then can cost more than
it brings: what was sent on 3G holds up what came over Wi-Fi long before, and the buffer is full of
the latter. The controls are plain TCP over either network, with the same buffer.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

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

FILE: Final = "wifi_3g.toml"
WIFI: Final = "TCP on Wi-Fi"
CELL: Final = "TCP on 3G"
PLAIN: Final[Settings] = {"mptcp": False}
KILOBYTES: Final = (16, 32, 64, 128, 256, 512, 1024)
TIGHT: Final = ("default", "priority", "blest", "ecf", "redundant", "smallest-delay")
"""Schedulers whose buffer is limited."""


def goodput(column: str, result: dict[str, Any]) -> Measures:
    """Return Mbit/s of the download once it is steady."""
    return {column: result["windows"]["steady"]["flows"]["download"]["goodput"] / 1e6}


def cases(_: int, quick: bool) -> list[Case]:
    """Return every scheduler with every buffer, and TCP."""
    rows: dict[str, Settings] = {WIFI: PLAIN, CELL: PLAIN, **policies(SCHEDULERS)}
    made = [_case("roomy", row, chosen, "Mbit/s", quick=quick) for row, chosen in rows.items()]
    tight: dict[str, Settings] = {WIFI: PLAIN, **policies(TIGHT)}
    for kilobytes in KILOBYTES[2:5:2] if quick else KILOBYTES:
        limit: Settings = {"receive_buffer": kilobytes << 10, "autotuning": False}
        made += [
            _case("buffers", row, chosen | limit, f"{kilobytes} KB", quick=quick)
            for row, chosen in tight.items()
        ]
    return made


def _case(table: str, row: str, settings: Settings, column: str, *, quick: bool) -> Case:
    changes: dict[str, object] = {"flows.download.settings": settings}
    if row == CELL:
        changes["flows.download.local"] = "10.0.2.1"
    if quick:
        changes |= {"duration_s": 7, "windows.steady.start_s": 3, "windows.steady.stop_s": 7}
    return Case(
        table=table, row=row, scenario=scenario(FILE, changes), measure=partial(goodput, column)
    )


READING: Final = """\
With room, the schedulers that use both networks add most of what 3G has. `smallest-delay`,
`active-standby` and `cheap-first` give what Wi-Fi gives, which is what they are for.

With little room nothing can be added, and nothing should be lost: what 3G holds up is sent on Wi-Fi
once more, and a queue of its own slows it down. From 64 KB on all schedulers are within 4 percent
of TCP on Wi-Fi, two of them the DSS options, and from 256 KB on those that fill 3G are above it. Up
to 32 KB `default` and `priority` lose two fifths, as the window is too small for two paths; the
others lose a tenth at most.
"""

STUDY: Final = Study(
    name="goodput",
    title="Goodput over Wi-Fi and 3G",
    text=__doc__,
    reading=READING,
    tables=(
        Table(name="roomy", caption="Goodput with buffers of 4 MB that tune themselves:"),
        Table(name="buffers", caption="Goodput in Mbit/s by receive buffer:"),
    ),
    cases=cases,
)

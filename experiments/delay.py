"""A stream of 1 Mbit/s over a Wi-Fi that loses packets in short bursts, and a slow 3G.

The networks are those of [lossy_call.toml](../examples/sim/lossy_call.toml). The application
writes every 10 ms. The delay of a write is the time until the other application has read its last
octet: waiting for a window, for a retransmission, and for data that is missing before it. Either
network could carry all of it, so this is about order and loss, not about rates. The controls are
plain TCP over either network.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from experiments.goodput import CELL, PLAIN, WIFI
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

FILE: Final = "lossy_call.toml"


def delays(flow: str, result: dict[str, Any]) -> Measures:
    """Return percentiles of how long writes took, in milliseconds, and what has not arrived."""
    told = result["flows"][flow]["delays"]
    return {
        "p50": told["median_ms"],
        "p95": told["p95_ms"],
        "p99": told["p99_ms"],
        "longest": told["max_ms"],
        "missing": float(told["late"]),
    }


def cases(_: int, quick: bool) -> list[Case]:
    """Return every scheduler, and TCP on either network."""
    rows: dict[str, Settings] = {WIFI: PLAIN, CELL: PLAIN, **policies(SCHEDULERS)}
    return [_case(row, settings, quick=quick) for row, settings in rows.items()]


def _case(row: str, settings: Settings, *, quick: bool) -> Case:
    changes: dict[str, object] = {"flows.call.settings": settings}
    if row == CELL:
        changes["flows.call.local"] = "10.0.2.1"
    if quick:
        changes |= {"duration_s": 14, "flows.call.stop_s": 10}
    return Case(
        table="delays",
        row=row,
        scenario=scenario(FILE, changes),
        measure=partial(delays, "call"),
    )


READING: Final = """\
Of the schedulers `redundant` and those that put most of the stream on 3G (`round-robin`,
`load-split`) have the least p99; the differences between them are less than the spread over the
seeds, and `redundant` has a better p50, for it sends everything twice. 3G alone has a still lower
p99, as nothing is lost there, at several times the p50. All others do better than TCP on Wi-Fi, as
a path that falls silent gives its data to the other one.
"""

STUDY: Final = Study(
    name="delay",
    title="Delay of a stream over lossy paths",
    text=__doc__,
    reading=READING,
    tables=(Table(name="delays", caption="Milliseconds from write to read:", digits=0),),
    cases=cases,
)

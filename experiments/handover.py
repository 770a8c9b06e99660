"""A download of 12 MB during which the Wi-Fi fades and is lost for good.

The networks are those of [walk_out.toml](../examples/sim/walk_out.toml). A user should not notice.
The longest time without new data for the application, among those that end in the three seconds
after the loss, is therefore put beside what one could ask for: two round trips of the path that
was lost, as last measured on it, and 50 ms. In the first table nobody says that Wi-Fi is gone, so
plait has to find out by itself; in the second the phone's system takes the address away at that
moment. The control is plain TCP, which cannot leave the Wi-Fi.
"""

from __future__ import annotations

from typing import Any, Final

from experiments.goodput import PLAIN, WIFI
from experiments.study import Case, Measures, Settings, Study, Table, policies, scenario

FILE: Final = "walk_out.toml"
OCTETS: Final = 12_000_000
LOST_S: Final = 6.0
"""When the Wi-Fi is gone."""

INTENTS: Final = ("handover", "interactive", "aggregate", "redundant", "cheap-first")

TOLD: Final[list[dict[str, object]]] = [
    {"at_s": 4, "link": "wifi", "rate_mbit": 3, "loss": 0.02},
    {"at_s": LOST_S, "link": "wifi", "up": False},
    {"at_s": LOST_S, "host": "phone", "address": "10.0.1.1", "present": False},
]


def measure(result: dict[str, Any]) -> Measures:
    """Return what the application saw of the loss."""
    flow = result["flows"]["download"]
    subflow = flow["subflows"]["10.0.1.1 > 192.0.2.1"]
    before = [value for time, value in subflow["series"]["srtt"] if time <= LOST_S]
    done = flow["completed"]
    complete = done is not None and flow["delivered"] == OCTETS and flow["intact"]
    return {
        "longest gap (ms)": result["windows"]["lost"]["flows"]["download"]["longest_gap"] * 1e3
        if complete
        else None,
        "2 RTT + 50 (ms)": 2 * before[-1] / 1e3 + 50,
        "done after (s)": done - flow["started"] if complete else None,
        "arrived (%)": 100 * flow["delivered"] / OCTETS,
    }


def cases(_: int, quick: bool) -> list[Case]:
    """Return every intent, and TCP, with and without word of the loss."""
    rows: dict[str, Settings] = {WIFI: PLAIN, **policies(INTENTS, "intent")}
    worlds: dict[str, dict[str, object]] = {"silent": {}, "told": {"events": TOLD}}
    return [
        Case(
            table=table,
            row=row,
            scenario=scenario(FILE, {**changes, "flows.download.settings": settings}),
            measure=measure,
        )
        for table, changes in worlds.items()
        for row, settings in rows.items()
        if not quick or table == "silent"
    ]


READING: Final = """\
Plain TCP is the control that fails: it stops where the Wi-Fi did. Under every intent all octets
arrive. `aggregate` and `redundant`, which use both networks all the time, pause the least, and less
than what one could ask for; `interactive` and `cheap-first` keep to that. `handover` pauses longer:
what the lost path held has to cross the other one, which starts with the first window.

That the phone's system takes the address away helps little by now: a path that falls silent gives
its data to another one about as soon as REMOVE_ADDR comes.
"""

STUDY: Final = Study(
    name="handover",
    title="Losing the Wi-Fi",
    text=__doc__,
    reading=READING,
    tables=(
        Table(name="silent", caption="Nobody tells:", heading="intent", digits=1),
        Table(name="told", caption="The address goes as well:", heading="intent", digits=1),
    ),
    cases=cases,
)

"""Where a second path does harm, and what the policies do about it.

Multipath TCP should never be worse than plain TCP on the better path, the control in each table.

*Short answers* of 60 kB over Wi-Fi, beside a path with a twentieth of its rate and fifteen times
its delay ([slow_second_path.toml](../examples/sim/slow_second_path.toml)): an answer is as late as
its last octet.

*A full queue*: answers of 200 kB over Wi-Fi, beside a cell whose queue of a second somebody else
keeps full ([harm.toml](../examples/sim/harm.toml)).

*A tiny buffer*: a download over Wi-Fi and 3G into 32 KB
([wifi_3g.toml](../examples/sim/wifi_3g.toml)): what waits for 3G fills it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Final

from experiments.goodput import PLAIN, WIFI, goodput
from experiments.study import Case, Measures, Settings, Study, Table, scenario
from plait.sim.scenario import Scenario

POLICIES: Final[dict[str, Settings]] = {
    WIFI: PLAIN,
    "default": {},
    "priority:overflow_ms=200": {"scheduler": "priority:overflow_ms=200"},
    "blest": {"scheduler": "blest"},
    "ecf": {"scheduler": "ecf"},
    "intent interactive": {"intent": "interactive"},
    "intent cheap-first": {"intent": "cheap-first"},
    "intent handover": {"intent": "handover"},
}
TINY: Final[Settings] = {"receive_buffer": 32 << 10, "autotuning": False}


def answers(flow: str, result: dict[str, Any]) -> Measures:
    """Return how many answers came, and percentiles of how long they took, in milliseconds."""
    told = result["flows"][flow]["answers"]
    return {
        "answers": float(told["count"]),
        "median": told["median_ms"],
        "p95": told["p95_ms"],
        "longest": told["max_ms"],
    }


def cases(_: int, quick: bool) -> list[Case]:
    """Return the three troubles under each policy."""
    return [
        case
        for row, settings in POLICIES.items()
        for case in (
            _short(row, settings, quick=quick),
            _full(row, settings, quick=quick),
            _tiny(row, settings, quick=quick),
        )
    ]


def _short(row: str, settings: Settings, *, quick: bool) -> Case:
    changes = {"flows.asking.settings": settings, "duration_s": 5 if quick else 15}
    return Case(
        table="short",
        row=row,
        scenario=scenario("slow_second_path.toml", changes),
        measure=partial(answers, "asking"),
    )


def _full(row: str, settings: Settings, *, quick: bool) -> Case:
    changes = {"flows.mptcp.settings": settings, "duration_s": 8 if quick else 30}
    asking = "tcp" if row == WIFI else "mptcp"
    return Case(
        table="full",
        row=row,
        scenario=_only(scenario("harm.toml", changes), {asking, "junk"}),
        measure=partial(answers, asking),
    )


def _only(whole: Scenario, names: set[str]) -> Scenario:
    """Return a scenario without some of its flows."""
    return replace(whole, flows={name: whole.flows[name] for name in whole.flows if name in names})


def _tiny(row: str, settings: Settings, *, quick: bool) -> Case:
    changes: dict[str, object] = {"flows.download.settings": settings | TINY}
    if quick:
        changes |= {"duration_s": 5, "windows.steady.start_s": 2, "windows.steady.stop_s": 5}
    return Case(
        table="tiny",
        row=row,
        scenario=scenario("wifi_3g.toml", changes),
        measure=partial(goodput, "Mbit/s"),
    )


READING: Final = """\
Where a second path is this bad the best policy is to leave it alone: the intents `interactive` and
`handover`, and `ecf`, are nearly as good as plain TCP in the first two tables. `priority` with a
threshold is so beside the slow path, but not beside the full queue. `default` sends on the bad path
whenever the good one is full, and answers take several times as long; `blest` is meant to prevent
that and here does not.

In a tiny buffer `default` loses to TCP, as the window is too small for two paths. The others are as
good but for the DSS options.
"""

STUDY: Final = Study(
    name="harm",
    title="Where a second path does harm",
    text=__doc__,
    reading=READING,
    tables=(
        Table(name="short", caption="Short answers, in ms:", heading="policy", digits=0),
        Table(name="full", caption="A full queue, in ms:", heading="policy", digits=0),
        Table(name="tiny", caption="A tiny buffer:", heading="policy"),
    ),
    cases=cases,
)

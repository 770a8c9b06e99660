"""The paths of `aggregation.py` in the simulator, where nothing is late: shares of TCP's sum.

    python benchmarks/aggregation_simulated.py [--seconds 8] [--only NAME] [--json FILE]

Both ends are plait's.  Runs repeat octet for octet, so one of each is enough.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

from aggregation import CELLS, DELAY
from reporting import Row, options, save, show
from rich.console import Console

from plait.sim.run import run
from plait.sim.scenario import FlowSpec, HostSpec, LinkSpec, Scenario, Shape, WindowSpec

VARIANTS: dict[str, dict[str, Any]] = {
    "default, cubic": {},
    "blest, cubic": {"scheduler": "blest"},
    "default, lia": {"congestion": "lia"},
    "blest, lia": {"scheduler": "blest", "congestion": "lia"},
    "paced": {"pacing": True},
    "fixed buffers": {"autotuning": False},
}
"""Settings beside cubic and one subflow for each path."""

HEADINGS = ("paths, Mbit/s", *VARIANTS)


def goodput(rates: dict[int, int], seconds: float, settings: dict[str, Any]) -> float:
    """Return Mbit/s at the reader, from the start on, over paths by their numbers."""
    shapes = {
        number: Shape(rate_mbit=rate, delay_ms=DELAY, queue_packets=50)
        for number, rate in rates.items()
    }
    hosts = {
        name: HostSpec(addresses={f"path{at}": (f"10.0.{at}.{end}",) for at in rates})
        for end, name in enumerate(("near", "far"), 1)
    }
    links = {
        f"path{at}": LinkSpec(between=("near", "far"), forth=one, back=one)
        for at, one in shapes.items()
    }
    scenario = Scenario(
        duration_s=seconds,
        hosts=hosts,
        links=links,
        flows={"stream": FlowSpec(source="near", destination=("far",), settings=settings)},
        windows={"all": WindowSpec(start_s=0, stop_s=seconds)},
    )
    octets: int = run(scenario)["windows"]["all"]["flows"]["stream"]["delivered"]
    return octets * 8 / seconds / 1e6


@lru_cache
def alone(rates: tuple[int, int], seconds: float, congestion: str) -> float:
    """Return what TCP gets on either path alone, added up."""
    settings = {"mptcp": False, "congestion": congestion}
    return sum(goodput({at: rate}, seconds, settings) for at, rate in enumerate(rates))


def share(rates: tuple[int, int], seconds: float, variant: dict[str, Any]) -> float:
    """Return what Multipath TCP gets, as part of that."""
    settings = {"congestion": "cubic", "checksum": False, "path_manager": "interfaces"} | variant
    together = goodput(dict(enumerate(rates)), seconds, settings)
    return together / alone(rates, seconds, settings["congestion"])


def main() -> int:
    """Simulate, print, write JSON."""
    parser = options(__doc__, rounds=1, what="variant (unused: they repeat)")
    parser.add_argument("--seconds", type=float, default=8, help="simulated length of each run")
    chosen = parser.parse_args()
    rows: list[Row] = []
    for rates in CELLS:
        row: Row = {"paths": "{}+{}".format(*rates)}
        if chosen.only in str(row["paths"]):
            for name, variant in VARIANTS.items():
                row[name] = round(share(rates, chosen.seconds, variant), 3)
            rows.append(row)
    show(rows, Console(), HEADINGS, "share of TCP's sum, simulated")
    save(chosen.json, seconds=chosen.seconds, rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

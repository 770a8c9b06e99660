"""How long an application hears nothing when one of its two paths dies without a word.

    python benchmarks/handover.py [--rounds 10] [--only NAME] [--json FILE]      (as root)

A stream flows over Wi-Fi (20 Mbit/s, 20 ms there and back) and LTE (20 Mbit/s, 50 ms), emulated,
until from some moment on every packet of the Wi-Fi vanishes, or, in the last rows, its address goes
at that moment as well.  `gap` is the longest silence at the reader from the cut on, `calm` that of
the half second before it, `limit` twice the sender's smoothed round-trip time of the lost path at
the cut, plus 50 ms.  The path is back after one to three seconds; `healed` is how long it takes
then to carry three full packets.  Who connects has both paths and sends (`up`) or reads (`down`).
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from emulated import Hosts, World, near, run, shape
from flowing import Flow, begin
from reporting import Row, is_root, options, save, show
from rich.console import Console

from plait.aio.connection import connection_of
from plait.aio.stack import Stack
from plait.linux.sockopts import connection_info

WIFI = shape(20, 10)
LTE = shape(20, 25)
CUT_AT = (1.0, 1.3)
"""Seconds after the start, by chance in between."""

CALM = 0.5
OUTAGE = (1.0, 3.0)
"""Seconds, likewise."""

PATIENCE = 15.0
"""Seconds after which a path is taken not to have healed."""

BACK_IN_USE = 3 * 1500
ALLOWED = 0.05
"""Seconds beyond two round trips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Who speaks with whom, and what happens to the path."""

    connects: str
    listens: str
    up: bool
    removal: bool = False
    """The address of who connects goes with the path, and comes back with it."""

    def __str__(self) -> str:
        ends = (self.connects, self.listens) if self.up else (self.listens, self.connects)
        names = ["plait" if one == "stack" else one for one in ends]
        told = ", address removed" if self.removal else ""
        return f"{names[0]} to {names[1]}, {'up' if self.up else 'down'}{told}"


SETUPS = [
    *(
        Setup(connects=connects, listens=listens, up=up)
        for up in (True, False)
        for connects in ("stack", "kernel")
        for listens in ("stack", "kernel")
    ),
    *(Setup(connects="stack", listens="kernel", up=up, removal=True) for up in (True, False)),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One cut; seconds."""

    gap: float
    calm: float
    limit: float
    healed: float | None
    """None if the path was not used again."""


async def cut(setup: Setup, dice: random.Random, world: World) -> Sample:
    """Cut the first path in the middle of a stream, mend it, and read the stream to its end."""
    flow = await begin(world, up=setup.up)
    await asyncio.sleep(dice.uniform(*CUT_AT) - CALM)
    flow.watch()
    await asyncio.sleep(CALM)
    calm = flow.watch()
    limit = 2 * round_trip(flow) + ALLOWED
    world.paths[0].cut()
    if setup.removal:
        _set_address(world, present=False)
    await asyncio.sleep(dice.uniform(*OUTAGE))
    gap = flow.watch()
    world.paths[0].restore()
    if setup.removal:
        _set_address(world, present=True)
    healed = await _heal(world, up=setup.up)
    await flow.stop()
    return Sample(gap=gap, calm=calm, limit=limit, healed=healed)


def round_trip(flow: Flow) -> float:
    """Return the sender's smoothed round-trip time of the first path, in seconds."""
    transport = flow.sender[1].transport
    sock = transport.get_extra_info("socket")
    # A socket may be of another namespace, where asyncio alone opened it.
    info = connection_info(sock, details=False) if sock else connection_of(transport).info
    return info.subflows[0].tcp.rtt / 1e6


def _set_address(world: World, *, present: bool) -> None:
    assert isinstance(world.connects, Stack)
    world.connects.on_local_address(ip_address(near(0)), present=present)


async def _heal(world: World, *, up: bool) -> float | None:
    """Return how long the first path takes to carry data again."""
    link = (world.forth if up else world.back)[0]
    began, before = time.monotonic(), link.octets
    while link.octets < before + BACK_IN_USE:
        if time.monotonic() > began + PATIENCE:
            return None
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def measure(setup: Setup, seed: int) -> Sample:
    """Run one cut; the seed decides when."""
    hosts = Hosts(connects=setup.connects, listens=setup.listens)
    dice = random.Random(seed)  # noqa: S311  the moment of a cut wants no secrecy
    return run(hosts, [WIFI, LTE], partial(cut, setup, dice))


HEADINGS = (
    "stream", "gap ms", "longest", "calm", "limit", "within", "healed ms", "longest", "never",
)  # fmt: skip


def summarize(samples: dict[Setup, list[Sample]]) -> Iterator[Row]:
    """Yield a row for each setup: medians in milliseconds."""
    for setup, taken in samples.items():
        healed = [one.healed for one in taken if one.healed is not None]
        yield {
            "stream": str(setup),
            "gap_ms": _median([one.gap for one in taken]),
            "gap_longest_ms": round(1000 * max(one.gap for one in taken)),
            "calm_ms": _median([one.calm for one in taken]),
            "limit_ms": _median([one.limit for one in taken]),
            "within": f"{sum(one.gap <= one.limit for one in taken)} of {len(taken)}",
            "healed_ms": _median(healed) if healed else None,
            "healed_longest_ms": round(1000 * max(healed)) if healed else None,
            "never_healed": len(taken) - len(healed),
        }


def _median(seconds: list[float]) -> int:
    """Return milliseconds."""
    return round(1000 * statistics.median(seconds))


def main() -> int:
    """Measure, print, write JSON."""
    parser = options(__doc__, rounds=10, what="stream")
    chosen = parser.parse_args()
    if not is_root("handover"):
        return 2
    console = Console(width=110)
    samples: dict[Setup, list[Sample]] = {}
    try:
        for seed in range(chosen.rounds):
            for setup in SETUPS:
                if chosen.only not in str(setup):
                    continue
                one = measure(setup, seed)
                samples.setdefault(setup, []).append(one)
                healed = "never" if one.healed is None else f"{1000 * one.healed:.0f} ms"
                console.print(
                    f"round {seed + 1}  gap {1000 * one.gap:5.0f} ms  calm {1000 * one.calm:4.0f}  "
                    f"limit {1000 * one.limit:4.0f}  healed {healed:8}  {setup}",
                    highlight=False,
                )
    except KeyboardInterrupt:
        console.print("interrupted: what was measured so far")
    rows = list(summarize(samples))
    show(rows, console, HEADINGS, "one of two paths dies")
    save(chosen.json, rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

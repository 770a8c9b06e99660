"""What two paths carry together, as part of what TCP gets on each of them alone.

    python benchmarks/aggregation.py [--rounds 3] [--seconds 10] [--only NAME] [--json FILE]

Needs root.  Two disjoint emulated paths of 10 ms one way with queues of 50 packets.  Goodput is
what the reader got from the connect call on, slow start included, in every row.  The share is a
median of rounds: each goodput by the sum of those of TCP, between the same two hosts with the same
congestion control, over the one path and over the other in the same round.  For LIA that is Reno,
which it is on one path.  `best` is the share that the better path alone is.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from emulated import Hosts, World, run, shape
from flowing import begin
from reporting import Row, is_root, options, save, show
from rich.console import Console

from plait.drivers.emulation import LinkShape
from plait.host.settings import Settings

DELAY = 10
"""Milliseconds, one way."""

CELLS = [(10, 10), (30, 10), (50, 5)]
"""Rates in Mbit/s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Who moves octets, and how."""

    hosts: str
    """`sends` and `receives` say what plait's stack does with the kernel; `kernels` is neither."""

    scheduler: str = "default"
    congestion: str = "cubic"
    pacing: bool = False

    def __str__(self) -> str:
        paced = ", paced" if self.pacing else ""
        return {
            "sends": f"plait to kernel, {self.scheduler}, {self.congestion}{paced}",
            "receives": "kernel to plait",
            "kernels": "kernel to kernel",
        }[self.hosts]

    def pair(self, *, mptcp: bool) -> Hosts:
        """Return the two hosts."""
        if self.hosts == "kernels":
            return Hosts(connects="kernel", listens="kernel", mptcp=mptcp)
        settings = Settings(
            checksum=False,
            scheduler=self.scheduler,
            congestion=self.congestion,
            pacing=self.pacing,
        )
        return Hosts(connects="stack", listens="kernel", settings=settings, mptcp=mptcp)


SETUPS = [
    *(
        Setup(hosts="sends", scheduler=scheduler, congestion=congestion, pacing=pacing)
        for scheduler, congestion in (("default", "cubic"), ("blest", "lia"))
        for pacing in (False, True)
    ),
    Setup(hosts="receives"),
    Setup(hosts="kernels"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Goodputs of one round, in Mbit/s."""

    together: float
    alone: tuple[float, float]

    @property
    def share(self) -> float:
        """Of what TCP gets on both paths, what both got together."""
        return self.together / sum(self.alone)

    @property
    def best(self) -> float:
        """Of what TCP gets on both paths, what it gets on the better one."""
        return max(self.alone) / sum(self.alone)


async def goodput(seconds: float, up: bool, world: World) -> float:
    """Return Mbit/s at the reader, from the connect call on."""
    began = time.monotonic()
    flow = await begin(world, up=up)
    await asyncio.sleep(began + seconds - time.monotonic())
    octets, took = flow.octets, time.monotonic() - began
    await flow.abort()
    return octets * 8 / took / 1e6


class Round:
    """One round over a pair of paths; what TCP gets alone is measured once for all setups."""

    def __init__(self, rates: tuple[int, int], seconds: float) -> None:
        self._shapes = [shape(rate, DELAY) for rate in rates]
        self._seconds = seconds
        self._alone: dict[tuple[str, str], tuple[float, float]] = {}

    def measure(self, setup: Setup) -> Sample:
        """Measure a setup beside TCP on either path."""
        key = setup.hosts, setup.congestion
        if key not in self._alone:
            first, second = (self._run(setup, [one], mptcp=False) for one in self._shapes)
            self._alone[key] = first, second
        together = self._run(setup, self._shapes, mptcp=True)
        return Sample(together=together, alone=self._alone[key])

    def _run(self, setup: Setup, shapes: list[LinkShape], *, mptcp: bool) -> float:
        up = setup.hosts != "receives"
        return run(setup.pair(mptcp=mptcp), shapes, partial(goodput, self._seconds, up))


HEADINGS = ("paths, Mbit/s", "who", "Mbit/s", "TCP alone", "share", "lowest", "highest", "best")

Samples = dict[tuple[tuple[int, int], Setup], list[Sample]]


def summarize(samples: Samples) -> Iterator[Row]:
    """Yield a row for each pair of paths and setup."""
    for (rates, setup), taken in samples.items():
        shares = [one.share for one in taken]
        alone = [statistics.median(one.alone[path] for one in taken) for path in (0, 1)]
        yield {
            "paths": "{}+{}".format(*rates),
            "who": str(setup),
            "mbit_per_s": round(statistics.median(one.together for one in taken), 2),
            "tcp_alone": " + ".join(f"{one:.2f}" for one in alone),
            "share": round(statistics.median(shares), 3),
            "lowest": round(min(shares), 3),
            "highest": round(max(shares), 3),
            "best": round(statistics.median(one.best for one in taken), 3),
        }


def main() -> int:
    """Measure, print, write JSON."""
    parser = options(__doc__, rounds=3, what="setup and pair of paths")
    parser.add_argument("--seconds", type=float, default=10, help="length of each run")
    chosen = parser.parse_args()
    if not is_root("aggregation"):
        return 2
    console = Console()
    samples: Samples = {}
    try:
        for number in range(chosen.rounds):
            for rates in CELLS:
                paths = Round(rates, chosen.seconds)
                for setup in SETUPS:
                    if chosen.only not in "{}+{} {}".format(*rates, setup):
                        continue
                    one = paths.measure(setup)
                    samples.setdefault((rates, setup), []).append(one)
                    console.print(
                        f"round {number + 1}  {rates}  {setup!s:32} {one.together:6.2f} Mbit/s, "
                        f"{one.share:.3f} of {one.alone[0]:.2f} + {one.alone[1]:.2f}",
                        highlight=False,
                    )
    except KeyboardInterrupt:
        console.print("interrupted: what was measured so far")
    rows = list(summarize(samples))
    show(rows, console, HEADINGS, "goodput over two paths")
    save(chosen.json, seconds=chosen.seconds, rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

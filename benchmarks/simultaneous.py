"""How long 16 MiB take over two paths at once: plait's stack, the kernel, and one path alone.

    python benchmarks/simultaneous.py [--rounds 1] [--only NAME] [--json FILE]      (as root)

80 KiB go the other way at the same time.  Every path is emulated (`plait.drivers.emulation`) with a
rate, a delay and a queue of 50 packets in each direction; between two kernels it lies between TUN
devices of two namespaces.  Times count from the connect call until both streams have ended at their
readers.  The bound is nine tenths of the sum of both rates, and 450 ms.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from emulated import MEGABIT, Hosts, World, run, shape
from reporting import Row, is_root, options, save, show
from rich.console import Console

from plait.drivers.emulation import LinkShape
from plait.host.settings import Settings

SIZE = 16 << 20
BACK = 80 << 10
SETTINGS = Settings(congestion="cubic", checksum=False)
PATIENCE = 60
"""Seconds after which a run has failed."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Two paths."""

    rates: tuple[int, int]
    """Mbit/s."""

    delays: tuple[int, int]
    """Milliseconds, one way."""

    def __str__(self) -> str:
        return "{}+{} Mbit/s, {}/{} ms".format(*self.rates, *self.delays)

    def bound(self, size: int = SIZE) -> float:
        """Return the seconds that a transfer may take."""
        return 8 * 10 * size / (sum(self.rates) * MEGABIT * 9) + 0.45

    def shapes(self, paths: int = 2) -> list[LinkShape]:
        """Return what the first so many paths are like, in either direction."""
        ways = zip(self.rates[:paths], self.delays[:paths], strict=True)
        return [shape(rate, delay) for rate, delay in ways]


CELLS = [
    Cell(rates, delays)
    for rates in ((10, 10), (10, 3), (15, 5))
    for delays in ((0, 0), (1, 25), (25, 1))
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One transfer."""

    seconds: float
    carried: tuple[int, ...]
    """Octets that each path carried to the receiver, headers counted."""

    dropped: tuple[int, ...]
    """Packets that found its queue full."""


def by_stack(cell: Cell, *, sends: bool, paths: int = 2, size: int = SIZE) -> Sample:
    """Let the stack connect and send, or let the kernel do so to the stack."""
    ends = ("stack", "kernel") if sends else ("kernel", "stack")
    hosts = Hosts(connects=ends[0], listens=ends[1], settings=SETTINGS)
    return run(hosts, cell.shapes(paths), partial(measure, size))


def by_kernel(cell: Cell, *, paths: int = 2, size: int = SIZE) -> Sample:
    """Let the kernel of one namespace send to that of another."""
    hosts = Hosts(connects="kernel", listens="kernel")
    return run(hosts, cell.shapes(paths), partial(measure, size))


async def measure(size: int, world: World) -> Sample:
    """Move both streams and return what that took and what the links forth saw."""
    seconds = await move(world, size)
    return Sample(
        seconds=seconds,
        carried=tuple(link.octets for link in world.forth),
        dropped=tuple(link.overflowed for link in world.forth),
    )


async def move(world: World, size: int) -> float:
    """Move both streams at once and return the seconds; raises RuntimeError if they differ."""
    dice = random.Random(size)  # noqa: S311  test data wants no secrecy
    forth, back = dice.randbytes(size), dice.randbytes(BACK)
    accepted = await world.accept()
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        ours = await world.call()

        async def answer() -> bytes:
            theirs = await accepted.get()
            _, arrived = await asyncio.gather(_send(theirs[1], back), theirs[0].read())
            theirs[1].close()  # not before: the kernel takes no joins once it has half-closed
            return arrived

        _, there, here = await asyncio.gather(_finish(ours[1], forth), answer(), ours[0].read())
    took = time.monotonic() - began
    ours[1].close()
    for arrived, sent in ((there, forth), (here, back)):
        if hashlib.sha256(arrived).digest() != hashlib.sha256(sent).digest():
            raise RuntimeError("the streams differ")
    return took


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    view = memoryview(data)
    for start in range(0, len(data), 1 << 17):
        writer.write(view[start : start + (1 << 17)])
        await writer.drain()


async def _finish(writer: asyncio.StreamWriter, data: bytes) -> None:
    await _send(writer, data)
    writer.write_eof()


RUNS: dict[str, Callable[[Cell], Sample]] = {
    "stack to kernel": partial(by_stack, sends=True),
    "kernel to stack": partial(by_stack, sends=False),
    "kernel to kernel": by_kernel,
    "stack to kernel, one path": partial(by_stack, sends=True, paths=1),
}


HEADINGS = ("paths", "bound", *RUNS)


def summarize(samples: dict[tuple[Cell, str], list[Sample]]) -> list[Row]:
    """Return a row for each cell: medians of seconds."""
    rows: list[Row] = []
    for cell in dict.fromkeys(cell for cell, _ in samples):
        row: Row = {"paths": str(cell), "bound": round(cell.bound(), 2)}
        for name in RUNS:
            taken = [one.seconds for one in samples.get((cell, name), [])]
            row[name] = round(statistics.median(taken), 2) if taken else None
        rows.append(row)
    return rows


def main() -> int:
    """Measure, print, write JSON."""
    parser = options(__doc__, rounds=1, what="kind and cell")
    chosen = parser.parse_args()
    if not is_root("simultaneous"):
        return 2
    console = Console()
    samples: dict[tuple[Cell, str], list[Sample]] = {}
    cells = [cell for cell in CELLS if chosen.only in str(cell)]
    try:
        for number in range(chosen.rounds):
            for cell in cells:
                for name, transfer in RUNS.items():
                    one = transfer(cell)
                    samples.setdefault((cell, name), []).append(one)
                    console.print(
                        f"round {number + 1}  {cell!s:26}  {name:26} {one.seconds:6.2f} s of "
                        f"{cell.bound():5.2f}  carried {one.carried}  dropped {one.dropped}",
                        highlight=False,
                    )
    except KeyboardInterrupt:
        console.print("interrupted: what was measured so far")
    rows = summarize(samples)
    show(rows, console, HEADINGS, "16 MiB, seconds, medians")
    save(chosen.json, rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

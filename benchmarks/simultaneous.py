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
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address, ip_interface
from socket import AF_INET
from typing import Any

from reporting import Row, is_root, options, save, show
from rich.console import Console

from plait.aio.kernel import Kernel
from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server
from plait.drivers.base import Driver
from plait.drivers.emulation import Emulation, LinkShape
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.host.settings import Settings
from plait.linux.mptcp_sockets import SocketOptions, make_socket
from plait.linux.netns import SIGNAL, Namespace
from plait.units import MILLISECOND, SECOND

SIZE = 16 << 20
BACK = 80 << 10
PORT = 5003
QUEUE = 50 * 1500
MEGABIT = 1_000_000
PATIENCE = 60
"""Seconds after which a run has failed."""

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


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
        return [
            LinkShape(rate=rate * MEGABIT, delay=delay * MILLISECOND, queue=QUEUE)
            for rate, delay in ways
        ]


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


def near(path: int) -> str:
    """Return the address of the stack, or of the kernel in its place."""
    return f"10.90.{path + 1}.1"


def far(path: int) -> str:
    """Return the address of the kernel on the other side."""
    return f"10.90.{path + 1}.2"


@contextmanager
def prepared(count: int) -> Iterator[list[Namespace]]:
    """Make namespaces whose kernels join what they hear of."""
    with ExitStack() as closing:
        made = [closing.enter_context(Namespace()) for _ in range(count)]
        for namespace in made:
            namespace.set_sysctl("net.mptcp.blackhole_timeout", 0)
            namespace.set_mptcp_limits(subflows=4, add_addr_accepted=4)
        yield made


def device(path: int, kernel: str, other: str) -> Tun:
    """Return a TUN device of the calling thread's namespace."""
    peer = ip_interface(f"{kernel}/24")
    return Tun(TunSpec(name=f"tun{path}", local=(ip_address(other),), peer=(peer,)))


def by_stack(cell: Cell, *, sends: bool, paths: int = 2, size: int = SIZE) -> Sample:
    """Let the stack connect and send, or let the kernel do so to the stack."""

    async def run() -> Sample:
        emulated = [
            Emulation(device(path, far(path), near(path)), shape)
            for path, shape in enumerate(cell.shapes(paths))
        ]
        stack = Stack(emulated, Settings(congestion="cubic", checksum=False))
        kernel = Kernel(congestion="cubic")
        try:
            if sends:
                call = partial(open_connection, far(0), PORT, stack=stack)
                seconds = await move(kernel, call, size)
            else:
                call = partial(open_connection, near(0), PORT, stack=kernel)
                seconds = await move(stack, call, size)
        finally:
            await kernel.close()
            await stack.close(0.2)
        return sample(seconds, [path.sending if sends else path.receiving for path in emulated])

    with prepared(1) as (namespace,):
        return namespace.run(lambda: asyncio.run(run()))


def by_kernel(cell: Cell, *, paths: int = 2, size: int = SIZE) -> Sample:
    """Let the kernel of one namespace send to that of another."""

    async def run(here: Namespace, relay: Relay) -> Sample:
        kernel = Kernel(congestion="cubic")
        relay.start()
        try:
            seconds = await move(kernel, partial(_connect_in, here), size)
        finally:
            await kernel.close()
            relay.close()
        return sample(seconds, [path.sending for _, path in relay.pairs])

    with prepared(2) as (here, there):
        pairs: list[tuple[Driver, Emulation]] = []
        for path, shape in enumerate(cell.shapes(paths)):
            close = here.run(partial(device, path, near(path), far(path)))
            remote = there.run(partial(device, path, far(path), near(path)))
            pairs.append((close, Emulation(remote, shape)))
            if path:
                there.add_mptcp_endpoint(ip_address(far(path)), path + 1, SIGNAL)
        return there.run(lambda: asyncio.run(run(here, Relay(pairs))))


async def _connect_in(namespace: Namespace) -> Ends:
    """Connect a socket of another namespace."""
    options = SocketOptions(congestion="cubic")
    sock = namespace.run(lambda: make_socket(AF_INET, options))
    await asyncio.to_thread(sock.connect, (far(0), PORT))
    sock.setblocking(False)  # noqa: FBT003  the socket's own interface
    return await asyncio.open_connection(sock=sock)


class Relay:
    """Carries segments between a device and an emulated path, for each of some pairs."""

    def __init__(self, pairs: list[tuple[Driver, Emulation]]) -> None:
        self.pairs = pairs
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._loop: asyncio.AbstractEventLoop

    def start(self) -> None:
        """Begin on the running loop."""
        self._loop = asyncio.get_running_loop()
        for number, pair in enumerate(self.pairs):
            for driver in pair:
                self._loop.add_reader(driver.fileno(), self._turn, number)

    def close(self) -> None:
        """Take the devices away."""
        for timer in self._timers.values():
            timer.cancel()
        for pair in self.pairs:
            for driver in pair:
                self._loop.remove_reader(driver.fileno())
                driver.close()

    def _turn(self, number: int) -> None:
        device, path = self.pairs[number]
        now = time.monotonic_ns()
        path.write_burst(now, device.read_burst(now))
        device.write_burst(now, path.read_burst(now))
        if number in self._timers:
            self._timers[number].cancel()
        due = path.next_timeout()
        if due is not None:
            delay = max(due - time.monotonic_ns(), 0) / SECOND
            self._timers[number] = self._loop.call_later(delay, self._turn, number)


def sample(seconds: float, links: list[Any]) -> Sample:
    """Return what a transfer took and what the links in its direction saw."""
    return Sample(
        seconds=seconds,
        carried=tuple(link.octets for link in links),
        dropped=tuple(link.overflowed for link in links),
    )


async def move(listener: Any, call: Callable[[], Awaitable[Ends]], size: int) -> float:
    """Move both streams at once and return the seconds; raises RuntimeError if they differ."""
    dice = random.Random(size)  # noqa: S311  test data wants no secrecy
    forth, back = dice.randbytes(size), dice.randbytes(BACK)
    accepted: asyncio.Queue[Ends] = asyncio.Queue()
    await start_server(lambda *ends: accepted.put(ends), None, PORT, stack=listener)
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        ours = await call()

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
                for name, run in RUNS.items():
                    one = run(cell)
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

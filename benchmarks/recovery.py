"""How long 4 MB take over a path that loses, reorders or delays: plait's sender and the kernel's.

    python benchmarks/recovery.py [--rounds 5] [--only NAME] [--json FILE]      (as root)

Both senders use cubic over plain TCP, the receiver is the kernel, and the path is the same
emulation with the same seeds: 100 Mbit/s, 25 ms each way.  The kernel's segments cross it by way of
a TUN device in a namespace of its own.  Times count from the connect call to the end of the stream
at the receiver; the ratio is plait's median to the kernel's.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface

from reporting import Row, is_root, options, save, show
from rich.console import Console

from plait.aio.stack import Stack
from plait.aio.streams import open_connection
from plait.drivers.base import Driver
from plait.drivers.emulation import Emulation, LinkShape
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.host.settings import Settings
from plait.linux.mptcp_sockets import listen, make_socket
from plait.linux.netns import Namespace
from plait.linux.socket_options import SocketOptions
from plait.units import MILLISECOND, SECOND

SIZE = 4_000_000
DATA = bytes(SIZE)
NEAR, FAR = "10.89.0.1", "10.89.0.2"
PORT = 5002
PATIENCE = 60
"""Seconds after which a run has failed."""

RATE = 100_000_000
DELAY = 25 * MILLISECOND
QUEUE = RATE * 2 * DELAY // SECOND // 8
"""One product of rate and round trip."""


def shape(*, queue: int = QUEUE, **knobs: float) -> LinkShape:
    """Return the direction of the data with these impairments."""
    return LinkShape(rate=RATE, delay=DELAY, queue=queue, **knobs)  # type: ignore[arg-type]  # a table of numbers


BACK = LinkShape(rate=RATE, delay=DELAY, queue=QUEUE)

SETUPS: dict[str, LinkShape] = {
    "nothing": shape(),
    "0.1 % loss": shape(loss=0.001),
    "1 % loss": shape(loss=0.01),
    "3 % loss": shape(loss=0.03),
    "bursts of 5, 1 % loss": shape(burst_start=0.002, burst_stop=0.2),
    "5 % late by 10 ms": shape(late=0.05, lateness=10 * MILLISECOND),
    "the last 5 lost": shape(queue=SIZE, gap_at=SIZE - 5 * 1448, gap=5),
    "the path stalls for 400 ms": shape(stall_at=250 * MILLISECOND, stall=400 * MILLISECOND),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One transfer."""

    seconds: float
    lost: int
    """Packets that the path lost or dropped."""

    carried: int
    """Octets that it carried to the receiver."""


class Receiver:
    """The kernel's end: accepts one connection and notes when its stream ends."""

    def __init__(self, namespace: Namespace) -> None:
        options = SocketOptions(mptcp=False, congestion="cubic")
        self._server = namespace.run(lambda: listen(None, PORT, options))
        self._server.settimeout(PATIENCE)
        self.ended = 0.0
        self.octets = 0
        self.at_end: Callable[[], object] = int
        """Called by the receiving thread once the stream has ended."""

        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # a run that failed; the count tells
            self._receive()
        with contextlib.suppress(RuntimeError):  # a loop that was interrupted
            self.at_end()

    def _receive(self) -> None:
        with self._server, self._server.accept()[0] as connection:
            connection.settimeout(PATIENCE)
            buffer = bytearray(1 << 20)
            while octets := connection.recv_into(buffer):
                self.octets += octets
            self.ended = time.monotonic()

    def done(self) -> bool:
        """Return whether the stream has ended, one way or another."""
        return not self._thread.is_alive()

    def seconds_since(self, began: float) -> float:
        """Return how long the transfer took; raises RuntimeError if it failed."""
        if self.octets != SIZE:
            raise RuntimeError(f"only {self.octets} octets arrived")
        return self.ended - began


def device(namespace: Namespace, *, kernel: str, other: str) -> Tun:
    """Return a TUN device that leads from a namespace's kernel to the other address."""
    spec = TunSpec(name="tun0", local=(ip_address(other),), peer=(ip_interface(f"{kernel}/24"),))
    return namespace.run(lambda: Tun(spec))


def emulated(inner: Driver, forth: LinkShape, seed: int) -> Emulation:
    """Put the path before the receiver's device."""
    return Emulation(inner, forth, BACK, seed)


def by_plait(forth: LinkShape, seed: int) -> Sample:
    """Let plait's stack send."""
    with Namespace() as there:
        path = emulated(device(there, kernel=FAR, other=NEAR), forth, seed)
        receiver = Receiver(there)
        began = asyncio.run(_send(path, receiver))
        return _sample(path, receiver, began)


async def _send(path: Emulation, receiver: Receiver) -> float:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    receiver.at_end = lambda: loop.call_soon_threadsafe(ended.set)
    stack = Stack([path], Settings(mptcp=False, congestion="cubic"))
    try:
        began = time.monotonic()
        _, writer = await open_connection(FAR, PORT, stack=stack)
        writer.write(DATA)
        writer.write_eof()
        await ended.wait()
        writer.transport.abort()
    finally:
        await stack.close(0.2)
    return began


def by_kernel(forth: LinkShape, seed: int) -> Sample:
    """Let the kernel of another namespace send, and carry its segments over the path."""
    with Namespace() as here, Namespace() as there:
        near = device(here, kernel=NEAR, other=FAR)
        path = emulated(device(there, kernel=FAR, other=NEAR), forth, seed)
        receiver = Receiver(there)
        options = SocketOptions(mptcp=False, congestion="cubic")
        sock = here.run(lambda: make_socket(socket.AF_INET, options))
        sock.settimeout(PATIENCE)
        began = time.monotonic()
        thread = threading.Thread(target=_kernel_send, args=(sock,), daemon=True)
        thread.start()
        try:
            _relay(near, path, receiver)
        finally:
            sock.close()
            near.close()
            path.close()
        return _sample(path, receiver, began)


def _kernel_send(sock: socket.socket) -> None:
    sock.connect((FAR, PORT))
    sock.sendall(DATA)
    sock.shutdown(socket.SHUT_WR)


def _relay(near: Driver, path: Emulation, receiver: Receiver) -> None:
    """Carry segments between the device and the path, with the clock grain of asyncio."""
    with select.epoll() as poll:
        for driver in (near, path):
            poll.register(driver.fileno(), select.EPOLLIN)
        while not receiver.done():
            now = time.monotonic_ns()
            path.write_burst(now, near.read_burst(now))
            near.write_burst(now, path.read_burst(now))
            due = path.next_timeout()
            wait = 20.0 if due is None else (due - time.monotonic_ns()) / MILLISECOND
            poll.poll(min(max(math.ceil(wait), 0), 20) / 1000)


def _sample(path: Emulation, receiver: Receiver, began: float) -> Sample:
    link = path.sending
    return Sample(
        seconds=receiver.seconds_since(began),
        lost=link.lost + link.overflowed,
        carried=link.octets,
    )


HEADINGS = ("path", "plait s", "kernel s", "ratio", "worst", "worst", "waste %", "waste %")


def summarize(samples: dict[str, list[tuple[Sample, Sample]]]) -> list[Row]:
    """Return a row for each setup."""
    rows: list[Row] = []
    for name, pairs in samples.items():
        ours = statistics.median(one.seconds for one, _ in pairs)
        theirs = statistics.median(other.seconds for _, other in pairs)
        rows.append(
            {
                "path": name,
                "plait_s": round(ours, 3),
                "kernel_s": round(theirs, 3),
                "ratio": round(ours / theirs, 3),
                "plait_worst_s": round(max(one.seconds for one, _ in pairs), 3),
                "kernel_worst_s": round(max(other.seconds for _, other in pairs), 3),
                "plait_waste": _waste([one for one, _ in pairs]),
                "kernel_waste": _waste([other for _, other in pairs]),
            }
        )
    return rows


def _waste(samples: list[Sample]) -> float:
    """Return by how many percent more than the stream arrived, headers counted."""
    return round(100 * (statistics.median(one.carried for one in samples) / SIZE - 1), 1)


def main() -> int:
    """Measure, print, write JSON."""
    parser = options(__doc__, rounds=5, what="sender and path")
    chosen = parser.parse_args()
    if not is_root("recovery"):
        return 2
    console = Console()
    samples: dict[str, list[tuple[Sample, Sample]]] = {}
    try:
        for seed in range(chosen.rounds):
            for name, forth in SETUPS.items():
                if chosen.only not in name:
                    continue
                pair = by_plait(forth, seed), by_kernel(forth, seed)
                samples.setdefault(name, []).append(pair)
                console.print(
                    f"round {seed + 1}  plait {pair[0].seconds:6.3f} s ({pair[0].lost} lost)  "
                    f"kernel {pair[1].seconds:6.3f} s ({pair[1].lost} lost)  {name}",
                    highlight=False,
                )
    except KeyboardInterrupt:
        console.print("interrupted: what was measured so far")
    rows = summarize(samples)
    show(rows, console, HEADINGS, "4 MB, medians")
    save(chosen.json, rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

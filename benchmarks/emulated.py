"""Two hosts joined by emulated paths: plait's stack or the kernel on either side, in real time.

Between a stack and the kernel a path lies before a TUN device, between two kernels between TUN
devices of two namespaces, between two stacks in memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address, ip_interface
from socket import AF_INET
from typing import TypeAlias, TypeVar

from plait.aio.kernel import Kernel
from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server
from plait.drivers.base import Driver
from plait.drivers.emulation import Emulation, Link, LinkShape
from plait.drivers.memory import pair
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.host.settings import Settings
from plait.linux.mptcp_sockets import make_socket
from plait.linux.netns import Namespace
from plait.linux.path_manager import SIGNAL
from plait.linux.socket_options import SocketOptions
from plait.units import MILLISECOND, SECOND

T = TypeVar("T")
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Backend = Stack | Kernel

PORT = 5003
QUEUE = 50 * 1500
"""Octets: 50 full packets."""

MEGABIT = 1_000_000


def shape(rate: float, delay: float) -> LinkShape:
    """Return a direction of so many Mbit/s and so many milliseconds, with a queue of 50 packets."""
    return LinkShape(rate=round(rate * MEGABIT), delay=round(delay * MILLISECOND), queue=QUEUE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Who connects and who listens, each `stack` or `kernel`."""

    connects: str
    listens: str
    settings: Settings = field(default_factory=lambda: Settings(checksum=False))
    """Of stacks; the kernel uses cubic."""

    mptcp: bool = True
    """False is TCP at both ends, whatever the settings say."""

    def __str__(self) -> str:
        return f"{self.connects} to {self.listens}"


class World:
    """Both hosts while a scenario runs.

    Attributes:
        paths: The emulated paths.
        forth: What they are like from who connects to who listens.
        back: The other direction.
        connects: The back end of who connects.
        listens: The back end of who listens.
    """

    def __init__(
        self,
        paths: Sequence[Emulation],
        connects: Backend,
        listens: Backend,
        call: Callable[[], Awaitable[Ends]],
        *,
        reverse: bool = False,
    ) -> None:
        self.paths = paths
        sending, receiving = [one.sending for one in paths], [one.receiving for one in paths]
        self.forth: list[Link] = receiving if reverse else sending
        self.back: list[Link] = sending if reverse else receiving
        self.connects = connects
        self.listens = listens
        self._call = call

    async def accept(self) -> asyncio.Queue[Ends]:
        """Listen and return the queue of what is accepted."""
        accepted: asyncio.Queue[Ends] = asyncio.Queue()
        await start_server(lambda *ends: accepted.put(ends), None, PORT, backend=self.listens)
        return accepted

    async def call(self) -> Ends:
        """Connect."""
        return await self._call()

    async def open(self) -> tuple[Ends, Ends]:
        """Listen, connect, and return the ends of who connects and who listens."""
        accepted = await self.accept()
        ours = await self.call()
        return ours, await accepted.get()


Scenario: TypeAlias = Callable[[World], Awaitable[T]]


def run(hosts: Hosts, shapes: Sequence[LinkShape], scenario: Scenario[T]) -> T:
    """Return what a scenario returns, run between these hosts over paths of these shapes."""
    kernels = [hosts.connects, hosts.listens].count("kernel")
    with prepared(kernels) as namespaces:
        if kernels == 0:
            return asyncio.run(_between_stacks(hosts, shapes, scenario))
        if kernels == 1:
            main = partial(_at_a_kernel, hosts, shapes, scenario)
            return namespaces[0].run(lambda: asyncio.run(main()))
        here, there = namespaces
        relay = Relay(_joined(here, there, shapes))
        main = partial(_between_kernels, hosts, here, relay, scenario)
        return there.run(lambda: asyncio.run(main()))


@contextmanager
def prepared(count: int) -> Iterator[list[Namespace]]:
    """Make namespaces whose kernels join what they hear of."""
    with ExitStack() as closing:
        made = [closing.enter_context(Namespace()) for _ in range(count)]
        for namespace in made:
            namespace.set_sysctl("net.mptcp.blackhole_timeout", 0)
            namespace.set_mptcp_limits(subflows=4, add_addr_accepted=4)
        yield made


def near(path: int) -> str:
    """Return the address of a stack, or of who connects if both are alike."""
    return f"10.90.{path + 1}.1"


def far(path: int) -> str:
    """Return the address on the other side."""
    return f"10.90.{path + 1}.2"


def device(path: int, kernel: str, other: str) -> Tun:
    """Return a TUN device of the calling thread's namespace."""
    peer = ip_interface(f"{kernel}/24")
    return Tun(TunSpec(name=f"tun{path}", local=(ip_address(other),), peer=(peer,)))


def _settings(hosts: Hosts) -> Settings:
    return hosts.settings if hosts.mptcp else replace(hosts.settings, mptcp=False)


async def _at_a_kernel(hosts: Hosts, shapes: Sequence[LinkShape], scenario: Scenario[T]) -> T:
    paths = [Emulation(device(path, far(path), near(path)), one) for path, one in enumerate(shapes)]
    stack = Stack(paths, _settings(hosts))
    kernel = Kernel(mptcp=hosts.mptcp, congestion="cubic")
    calls = hosts.connects == "stack"
    ends: tuple[Backend, Backend] = (stack, kernel) if calls else (kernel, stack)
    call = partial(open_connection, far(0) if calls else near(0), PORT, backend=ends[0])
    try:
        return await scenario(World(paths, *ends, call, reverse=not calls))
    finally:
        await kernel.close()
        await stack.close(0.2)


async def _between_stacks(hosts: Hosts, shapes: Sequence[LinkShape], scenario: Scenario[T]) -> T:
    links = [pair([ip_address(near(path))], [ip_address(far(path))]) for path in range(len(shapes))]
    paths = [Emulation(here, one) for (here, _), one in zip(links, shapes, strict=True)]
    settings = _settings(hosts)
    one, other = Stack(paths, settings), Stack([there for _, there in links], settings)
    try:
        call = partial(open_connection, far(0), PORT, stack=one)
        return await scenario(World(paths, one, other, call))
    finally:
        await one.close(0.2)
        await other.close(0.2)


def _joined(
    here: Namespace, there: Namespace, shapes: Sequence[LinkShape]
) -> list[tuple[Driver, Emulation]]:
    """Return paths between two namespaces; the second one tells of its addresses."""
    pairs: list[tuple[Driver, Emulation]] = []
    for path, one in enumerate(shapes):
        close = here.run(partial(device, path, near(path), far(path)))
        remote = there.run(partial(device, path, far(path), near(path)))
        pairs.append((close, Emulation(remote, one)))
        if path:
            there.add_mptcp_endpoint(ip_address(far(path)), path + 1, SIGNAL)
    return pairs


async def _between_kernels(hosts: Hosts, here: Namespace, relay: Relay, scenario: Scenario[T]) -> T:
    relay.start()
    kernel = Kernel(mptcp=hosts.mptcp, congestion="cubic")
    try:
        call = partial(_connect_in, here, SocketOptions(mptcp=hosts.mptcp, congestion="cubic"))
        return await scenario(World([path for _, path in relay.pairs], kernel, kernel, call))
    finally:
        await kernel.close()
        relay.close()


async def _connect_in(namespace: Namespace, options: SocketOptions) -> Ends:
    """Connect a socket of another namespace."""
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
        for number, both in enumerate(self.pairs):
            for driver in both:
                self._loop.add_reader(driver.fileno(), self._turn, number)

    def close(self) -> None:
        """Take the devices away."""
        for timer in self._timers.values():
            timer.cancel()
        for both in self.pairs:
            for driver in both:
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

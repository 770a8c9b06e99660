"""One network namespace: the kernel on one side of TUN devices, plait's stack on the other."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_interface
from pathlib import Path
from typing import Any, TypeVar

from plait.addresses import IpAddress
from plait.aio.kernel import Kernel
from plait.aio.stack import Stack
from plait.aio.streams import open_connection, start_server
from plait.drivers.base import Driver
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.host.settings import Settings
from plait.linux.netns import Namespace

T = TypeVar("T")
Wrap = Callable[[int, Driver], Driver]
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]

NOISE = frozenset({
    "RcvWndShared", "SndWndShared", "OFOQueue", "OFOQueueTail", "OFOMerge", "DuplicateData",
    "MPTCPRetrans", "MPCurrEstab", "WinProbe", "SubflowStale", "SubflowRecover",
})  # fmt: skip
"""Counters that depend on timing: shared windows, order of arrival, a scheduler that was late."""


ONCE = {"add_addr_tries": 1}
"""ADD_ADDR is not repeated unless a plan says so: a busy machine echoes late."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one lab is like."""

    family: int = 4
    checksum: bool = True
    offload: bool = True
    mtu: int = 1500
    paths: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    kernel_mptcp: bool = True
    subflow_limit: int = 8
    address_limit: int = 8
    """Addresses of ours that the kernel joins unasked."""

    endpoints: tuple[str, ...] = ()
    """For `ip mptcp endpoint add`; {0}, {1} stand for the kernel's addresses."""

    mapped: bool = False
    """The kernel connects to our IPv4 address by an IPv6 socket."""

    sysctls: dict[str, int | str] = field(default_factory=dict)
    """Of the kernel's namespace, besides those that every lab sets."""

    monitor: bool = True
    """The stack watches its interfaces."""

    wrap: Wrap | None = None
    """Puts a driver of the test's own before a path's TUN device; called with the path's number."""

    def stack_address(self, path: int = 0) -> str:
        return f"10.77.{path + 1}.1" if self.family == 4 else f"fd77:{path + 1}::1"

    def kernel_address(self, path: int = 0) -> str:
        return f"10.77.{path + 1}.2" if self.family == 4 else f"fd77:{path + 1}::2"

    def drivers(self) -> list[Driver]:
        made: list[Driver] = []
        for path in range(self.paths):
            prefix = 24 if self.family == 4 else 64
            peer = ip_interface(f"{self.kernel_address(path)}/{prefix}")
            local: tuple[IpAddress, ...] = (ip_interface(self.stack_address(path)).ip,)
            name = f"tun{path}"
            spec = TunSpec(name=name, local=local, peer=(peer,), mtu=self.mtu, offload=self.offload)
            driver: Driver = Tun(spec)
            made.append(driver if self.wrap is None else self.wrap(path, driver))
        return made


@dataclass
class Lab:
    """Both sides, while a scenario runs."""

    plan: Plan
    stack: Stack
    kernel: Kernel
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    """Ends that are aborted when the scenario is over, however it went."""

    port: int = 5000
    """Port of the last listener."""

    def counted(self) -> dict[str, int]:
        """Return the kernel's MPTcpExt counters that moved, timing noise left out."""
        moved = self.kernel.counters.snapshot()
        return {name: by for name, by in moved.items() if by and name not in NOISE}

    def ip(self, words: str) -> str:
        """Run `ip` in the lab's namespace; {0}, {1} stand for the kernel's addresses."""
        addresses = [self.plan.kernel_address(path) for path in range(max(self.plan.paths, 3))]
        command = ["ip", *words.format(*addresses).split()]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    async def serve(self, backend: Stack | Kernel) -> asyncio.Queue[Ends]:
        """Listen on a new port, `port`, and return the queue of what is accepted.

        The listener stays until the lab is gone: the kernel refuses joins to a port without one.
        """
        self.port += 1
        accepted: asyncio.Queue[Ends] = asyncio.Queue()

        async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.writers.append(writer)
            await accepted.put((reader, writer))

        await start_server(on_connection, None, self.port, backend=backend)
        return accepted


def in_lab(plan: Plan, scenario: Callable[[Lab], Awaitable[T]], seconds: float = 15) -> T:
    """Build a lab in a new namespace, run the scenario in it and take everything away."""

    async def main() -> T:
        settings = Settings(checksum=plan.checksum, **(ONCE | plan.settings))
        kernel = Kernel(mptcp=plan.kernel_mptcp, congestion="cubic")
        stack = Stack(plan.drivers(), settings, monitor=plan.monitor)
        lab = Lab(plan, stack, kernel)
        try:
            for endpoint in plan.endpoints:
                lab.ip(f"mptcp endpoint add {endpoint}")
            async with asyncio.timeout(seconds):
                return await scenario(lab)
        finally:
            for writer in lab.writers:
                writer.transport.abort()
            await kernel.close()
            await stack.close(0.2)

    with Namespace() as namespace:
        namespace.set_sysctl("net.mptcp.blackhole_timeout", 0)
        namespace.set_sysctl("net.mptcp.checksum_enabled", int(plan.checksum))
        namespace.set_sysctl("net.mptcp.close_timeout", 1)
        namespace.set_sysctl("net.mptcp.add_addr_timeout", 0)  # never again; see ONCE
        for name, value in plan.sysctls.items():
            namespace.set_sysctl(name, value)
        namespace.set_mptcp_limits(
            subflows=plan.subflow_limit, add_addr_accepted=plan.address_limit
        )
        return namespace.run(lambda: asyncio.run(main()))


async def connect(lab: Lab, *, stack_connects: bool) -> tuple[Ends, Ends]:
    """Open one connection and return the stack's end and the kernel's."""
    backends: list[Any] = [lab.kernel, lab.stack]
    listener, initiator = backends if stack_connects else reversed(backends)
    address = lab.plan.kernel_address() if stack_connects else lab.plan.stack_address()
    if lab.plan.mapped:
        address = f"::ffff:{address}"
    accepted = await lab.serve(listener)
    here = await open_connection(address, lab.port, backend=initiator)
    lab.writers.append(here[1])
    there = await accepted.get()
    return (here, there) if stack_connects else (there, here)


GREETING = b"hello"


async def greet(ours: Ends, theirs: Ends) -> None:
    """Send a little both ways: joins wait for a first Data ACK (RFC 8684, 3.1)."""
    for one, other in ((ours, theirs), (theirs, ours)):
        one[1].write(GREETING)
        assert await other[0].readexactly(len(GREETING)) == GREETING


async def subflows_up(lab: Lab, ours: Ends, theirs: Ends, count: int) -> None:
    """Wait until there are so many subflows."""
    if count > 1:
        await greet(ours, theirs)

    def live() -> int:
        info = lab.stack.info(ours[1].transport)
        return sum(one.tcp.state == "ESTABLISHED" for one in info.subflows)

    await until(lambda: live() >= count)


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that the kernel or the stack gives no notice of."""
    while not true():  # noqa: ASYNC110  there is no event to wait for
        await asyncio.sleep(0.005)


def tcp_counters() -> dict[str, int]:
    """Return the kernel's TcpExt counters of this thread's namespace."""
    text = Path("/proc/thread-self/net/netstat").read_text(encoding="ascii")
    names, values = (line.split()[1:] for line in text.splitlines() if line.startswith("TcpExt:"))
    return dict(zip(names, map(int, values), strict=True))


async def send(end: Ends, data: bytes, *, end_stream: bool = True) -> None:
    """Write everything with regard to the peer's pace."""
    view = memoryview(data)
    for start in range(0, len(data), 1 << 18):
        end[1].write(view[start : start + (1 << 18)])
        await end[1].drain()
    if end_stream:
        end[1].write_eof()


async def exchange(
    one: Ends, other: Ends, size: int, seed: int = 1, *, end_stream: bool = True
) -> None:
    """Send random octets both ways at once, half-close, and compare byte for byte."""
    dice = random.Random(seed)
    up, down = dice.randbytes(size), dice.randbytes(size)
    _, _, arrived_up, arrived_down = await asyncio.gather(
        send(one, up, end_stream=end_stream),
        send(other, down, end_stream=end_stream),
        other[0].read() if end_stream else other[0].readexactly(size),
        one[0].read() if end_stream else one[0].readexactly(size),
    )
    assert arrived_up == up
    assert arrived_down == down


async def close(ends: Sequence[Ends]) -> None:
    """Close writers and wait until they are."""
    for _, writer in ends:
        writer.close()
    for _, writer in ends:
        await writer.wait_closed()

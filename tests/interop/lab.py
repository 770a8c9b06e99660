"""One network namespace: the kernel on one side of TUN devices, plait's stack on the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_interface
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

NOISE = frozenset({
    "RcvWndShared", "SndWndShared", "OFOQueue", "OFOQueueTail", "OFOMerge", "DuplicateData",
    "MPTCPRetrans", "MPCurrEstab", "WinProbe", "SubflowStale", "SubflowRecover",
})  # fmt: skip
"""Counters that depend on timing: shared windows, order of arrival, a scheduler that was late."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one lab is like."""

    family: int = 4
    checksum: bool = True
    offload: bool = True
    paths: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    kernel_mptcp: bool = True
    subflow_limit: int = 8
    sysctls: dict[str, int | str] = field(default_factory=dict)
    """Of the kernel's namespace, besides those that every lab sets."""

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
            spec = TunSpec(name=f"tun{path}", local=local, peer=(peer,), offload=self.offload)
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


def in_lab(plan: Plan, scenario: Callable[[Lab], Awaitable[T]], seconds: float = 15) -> T:
    """Build a lab in a new namespace, run the scenario in it and take everything away."""

    async def main() -> T:
        settings = Settings(checksum=plan.checksum, **plan.settings)
        kernel = Kernel(mptcp=plan.kernel_mptcp, congestion="cubic")
        stack = Stack(plan.drivers(), settings)
        lab = Lab(plan, stack, kernel)
        try:
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
        for name, value in plan.sysctls.items():
            namespace.set_sysctl(name, value)
        namespace.set_mptcp_limits(subflows=plan.subflow_limit, add_addr_accepted=8)
        return namespace.run(lambda: asyncio.run(main()))


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(lab: Lab, *, stack_connects: bool) -> tuple[Ends, Ends]:
    """Open one connection and return the stack's end and the kernel's.

    The listener stays until the lab is gone: the kernel refuses joins to a port without one.
    """
    lab.port += 1
    accepted: asyncio.Queue[Ends] = asyncio.Queue()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put((reader, writer))

    backends: list[Any] = [lab.kernel, lab.stack]
    listener, initiator = backends if stack_connects else reversed(backends)
    address = lab.plan.kernel_address() if stack_connects else lab.plan.stack_address()
    await start_server(on_connection, None, lab.port, stack=listener)
    here = await open_connection(address, lab.port, stack=initiator)
    there = await accepted.get()
    lab.writers += [here[1], there[1]]
    return (here, there) if stack_connects else (there, here)


GREETING = b"hello"


async def subflows_up(lab: Lab, ours: Ends, theirs: Ends, count: int) -> None:
    """Wait until there are so many subflows; joins wait for a first Data ACK (RFC 8684, 3.1)."""
    if count > 1:
        for one, other in ((ours, theirs), (theirs, ours)):
            one[1].write(GREETING)
            assert await other[0].readexactly(len(GREETING)) == GREETING
    while True:
        info = lab.stack.info(ours[1].transport)
        live = [subflow for subflow in info.subflows if subflow.tcp.state == "ESTABLISHED"]
        if len(live) >= count:
            return
        await asyncio.sleep(0.01)


async def send(end: Ends, data: bytes, *, end_stream: bool = True) -> None:
    """Write everything with regard to the peer's pace."""
    view = memoryview(data)
    for start in range(0, len(data), 1 << 18):
        end[1].write(view[start : start + (1 << 18)])
        await end[1].drain()
    if end_stream:
        end[1].write_eof()


async def exchange(one: Ends, other: Ends, size: int, seed: int = 1) -> None:
    """Send random octets both ways at once, half-close, and compare byte for byte."""
    dice = random.Random(seed)
    up, down = dice.randbytes(size), dice.randbytes(size)
    _, _, arrived_up, arrived_down = await asyncio.gather(
        send(one, up), send(other, down), other[0].read(), one[0].read()
    )
    assert arrived_up == up
    assert arrived_down == down


async def close(ends: Sequence[Ends]) -> None:
    """Close writers and wait until they are."""
    for _, writer in ends:
        writer.close()
    for _, writer in ends:
        await writer.wait_closed()

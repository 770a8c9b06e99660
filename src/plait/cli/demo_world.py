"""Where the demonstration takes place: two paths between plait and somebody else.

That is the kernel's Multipath TCP in a network namespace behind two TUN devices, or, where the
machine has not got these, a second host of plait's own behind two in-process links.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Interface
from typing import Final

from plait.aio.kernel_server import KernelServer
from plait.aio.stack import Stack
from plait.cli.demo_transfer import Receiver
from plait.drivers.base import Driver
from plait.drivers.emulation import Emulation, LinkShape
from plait.drivers.memory import pair
from plait.drivers.tun import Tun
from plait.drivers.tun_spec import TunSpec
from plait.host.settings import Settings
from plait.linux import counters, mptcp_sockets
from plait.linux.netns import Namespace
from plait.linux.socket_options import SocketOptions
from plait.units import MILLISECOND

PORT: Final = 5001
MTU: Final = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPlan:
    """A path to build; rate and delay hold in each direction."""

    name: str
    megabits: int
    """Rate in Mbit/s, headers counted."""

    delay_ms: int
    """One-way delay."""

    local: str
    remote: str

    def shape(self) -> LinkShape:
        """Return the emulator's view of the path."""
        return LinkShape(rate=self.megabits * 1_000_000, delay=self.delay_ms * MILLISECOND)


PLANS: Final = (
    PathPlan(name="wifi", megabits=40, delay_ms=10, local="10.77.1.1", remote="10.77.1.2"),
    PathPlan(name="lte", megabits=20, delay_ms=40, local="10.77.2.1", remote="10.77.2.2"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPath:
    """A path that is there."""

    plan: PathPlan
    emulation: Emulation


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything the demonstration needs; `stack` sends, `receivers` fills as it connects."""

    title: str
    stack: Stack
    paths: tuple[DemoPath, ...]
    receivers: list[Receiver]
    evidence: Callable[[], dict[str, int]]
    """Returns the MPTcpExt counters of the receiving side."""


@contextlib.asynccontextmanager
async def kernel_world() -> AsyncIterator[World]:
    """Build two TUN devices with the kernel's Multipath TCP behind them.

    Raises UsageError where the machine or our rights do not allow it.
    """
    receivers: list[Receiver] = []
    with ExitStack() as made:
        namespace = made.enter_context(Namespace())
        namespace.set_mptcp_limits(subflows=8, add_addr_accepted=8)
        listener = namespace.run(lambda: mptcp_sockets.listen(None, PORT, SocketOptions()))
        made.callback(listener.close)
        emulations: list[Emulation] = []
        for plan in PLANS:
            tun = namespace.run(partial(Tun, _tun_spec(plan)))
            made.callback(tun.close)
            emulations.append(Emulation(tun, plan.shape()))
        server = KernelServer(
            listener, lambda: Receiver(receivers.append), SocketOptions(), reason=None
        )
        made.callback(server.close)
        world = _world(
            "plait (sends) -- two TUN devices -- Linux kernel MPTCP (receives)",
            emulations,
            receivers,
            lambda: namespace.run(counters.snapshot),
        )
        async with _closing(world.stack):
            yield world


@contextlib.asynccontextmanager
async def memory_world() -> AsyncIterator[World]:
    """Build two in-process links with a second host of plait's own behind them."""
    receivers: list[Receiver] = []
    emulations: list[Emulation] = []
    far: list[Driver] = []
    for plan in PLANS:
        here, there = pair(
            [IPv4Address(plan.local)], [IPv4Address(plan.remote)], mtu=MTU, segmentation=True
        )
        emulations.append(Emulation(here, plan.shape()))
        far.append(there)
    peer = Stack(far, Settings(path_manager="default"))  # one subflow on each path
    async with _closing(peer):
        await peer.create_server(lambda: Receiver(receivers.append), None, PORT)
        world = _world(
            "plait (sends) -- two in-process links -- plait (receives)",
            emulations,
            receivers,
            peer.counters.snapshot,
        )
        async with _closing(world.stack):
            yield world


def _world(
    title: str,
    emulations: Sequence[Emulation],
    receivers: list[Receiver],
    evidence: Callable[[], dict[str, int]],
) -> World:
    """Return the world of a sending stack on emulated paths."""
    return World(
        title=title,
        stack=Stack(emulations, Settings()),
        paths=tuple(
            DemoPath(plan=plan, emulation=emulation)
            for plan, emulation in zip(PLANS, emulations, strict=True)
        ),
        receivers=receivers,
        evidence=evidence,
    )


@contextlib.asynccontextmanager
async def _closing(stack: Stack) -> AsyncIterator[None]:
    """Close the stack in order, or at once when something went wrong."""
    try:
        yield
    except BaseException:
        await stack.close(0)
        raise
    await stack.close()


def _tun_spec(plan: PathPlan) -> TunSpec:
    """Return the TUN device of a path."""
    return TunSpec(
        name=plan.name,
        local=(IPv4Address(plan.local),),
        peer=(IPv4Interface(f"{plan.remote}/24"),),
        mtu=MTU,
    )

"""Scenarios as rows of a table: what is set up, what is done, what the kernel must have counted.

The kernel's MPTcpExt counters are compared whole, timing noise left out: what a row does not name
must have stood still.  Rows that differ only by the cause under test are each other's controls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

import pytest
from interop.lab import (
    Ends,
    Lab,
    Plan,
    close,
    connect,
    exchange,
    greet,
    in_lab,
    tcp_counters,
    until,
)

from plait.addresses import IpAddress
from plait.aio.transport import StackTransport
from plait.mptcp.connection import Connection
from plait.mptcp.subflow import Subflow
from plait.pathing import path_managers
from plait.pathing.base import Action, Advertise, OpenSubflow, PathManager, View, Withdraw

Counted = dict[str, int]

SERVES: Counted = {"MPCapableSYNRX": 1, "MPCapableACKRX": 1}
"""What the kernel counts when a connection is opened to it."""

CALLS: Counted = {"MPCapableSYNTX": 1, "MPCapableSYNACKRX": 1}
"""What it counts when it opens one."""

QUIET_SECONDS = 0.1
"""How long counters must stay right once they are."""


def joined_by_us(count: int = 1) -> Counted:
    """Return the counters of joins that the kernel answers."""
    return {"MPJoinSynRx": count, "MPJoinAckRx": count}


def joined_by_kernel(count: int = 1) -> Counted:
    """Return the counters of joins that it opens."""
    return {"MPJoinSynTx": count, "MPJoinSynAckRx": count}


def heard(count: int = 1) -> Counted:
    """Return the counters of addresses that we announce."""
    return {"AddAddr": count, "EchoAddTx": count}


def told(count: int = 1) -> Counted:
    """Return the counters of addresses that the kernel announces."""
    return {"AddAddrTx": count, "EchoAdd": count}


class Case:
    """One connection of a lab, with a grip on our end of it."""

    def __init__(self, lab: Lab, ours: Ends, theirs: Ends) -> None:
        self.lab = lab
        self.ours = ours
        self.theirs = theirs
        self._host: Any = lab.stack._host
        transport = ours[1].transport
        assert isinstance(transport, StackTransport)
        self._entry: Any = self._host._connections.find(transport.connection_id)

    @property
    def connection(self) -> Connection:
        connection: Connection = self._entry.connection
        return connection

    def do(self, *actions: Action) -> None:
        """Have our end do what a path manager would answer."""
        self.change(lambda: self.connection.perform(self.now(), actions))

    def change(self, work: Callable[[], object]) -> None:
        """Call something of our connection, and have the stack act on it."""
        work()
        self._host._touch(self._entry)
        self._host._settle(self.now(), self._entry)
        self._owe()

    def now(self) -> int:
        """Return the time of the host's clock."""
        return time.monotonic_ns()

    def _owe(self) -> None:
        pump = self.lab.stack._pump
        assert pump is not None
        pump.owe()

    def set_local(self, path: int, *, present: bool) -> None:
        """Have an address of ours come or go."""
        address = ip_address(self.lab.plan.stack_address(path))
        self._host.on_local_address(self.now(), address, present=present)
        self._owe()

    def set_backup(self, number: int, *, backup: bool) -> None:
        """Have our end send MP_PRIO for one of its subflows."""
        name = self.subflow(number).id
        self._host.set_backup(self.now(), self._entry.connection_id, name, backup=backup)
        self._owe()

    def live(self) -> int:
        """Return how many of our subflows can carry data."""
        return sum(one.can_send for one in self.connection.subflows)

    def subflow(self, number: int) -> Subflow:
        """Return one of our subflows, in the order they came."""
        return self.connection.subflows[number]


Act = Callable[[Case], Awaitable[None] | None]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One scenario and its verdict."""

    counted: Counted
    """The kernel's counters at the end, all of them but `noise`."""

    noise: frozenset[str] = frozenset()
    """Counters that a race decides."""

    plan: Plan = field(default_factory=Plan)
    stack_connects: bool = True
    subflows: int = 1
    """That are up before `act`."""

    act: Act | None = None
    left: int | None = None
    """Subflows that are up after `act`; None is as many as before."""

    size: int = 100_000
    """Octets that go each way, after `act`."""

    mptcp: bool = True
    """The connection is Multipath TCP at the end."""

    checksum: bool | None = None
    """It has checksums; None is as the plan says."""

    reason: int | None = None
    """Reason of an MP_TCPRST that the kernel sent us."""

    tcp_counted: Counted = field(default_factory=dict)
    """Some of the kernel's TcpExt counters."""


def advertise(path: int, port: int = 0) -> Act:
    """Announce our address of a path."""

    def act(case: Case) -> None:
        case.do(Advertise(ip_address(case.lab.plan.stack_address(path)), port))

    return act


def withdraw(path: int) -> Act:
    """Take our address of a path back."""

    def act(case: Case) -> None:
        case.do(Withdraw(ip_address(case.lab.plan.stack_address(path))))

    return act


def join(here: int, there: int = 0, *, backup: bool = False) -> Act:
    """Join an address of the kernel from one of ours."""

    def act(case: Case) -> None:
        plan = case.lab.plan
        local, remote = (
            ip_address(text) for text in (plan.stack_address(here), plan.kernel_address(there))
        )
        port = case.connection.subflows[0].path.remote_port
        case.do(OpenSubflow(local, remote, port, 0, backup))

    return act


def ip(words: str) -> Act:
    """Run `ip` in the kernel's namespace; {0}, {1} are the kernel's addresses."""

    def act(case: Case) -> None:
        case.lab.ip(words)

    return act


def until_live(count: int) -> Act:
    """Wait for a number of subflows."""
    return lambda case: until(lambda: case.live() == count)


def steps(*acts: Act) -> Act:
    """Do one after the other."""

    async def act(case: Case) -> None:
        for step in acts:
            waited = step(case)
            if waited is not None:
                await waited

    return act


def check(row: Row) -> None:
    """Run a scenario and judge it: subflows, octets both ways, the kernel's counters."""

    async def scenario(lab: Lab) -> None:
        ours, theirs = await connect(lab, stack_connects=row.stack_connects)
        await greet(ours, theirs)
        case = Case(lab, ours, theirs)
        await until(lambda: case.live() == row.subflows)
        if row.act is not None:
            waited = row.act(case)
            if waited is not None:
                await waited
        left = row.subflows if row.left is None else row.left
        await until(lambda: case.live() == left)
        await exchange(ours, theirs, row.size)
        info = lab.stack.info(ours[1].transport)
        assert info.is_mptcp is row.mptcp
        if row.reason is not None:
            assert row.reason in [one.reset_reason for one in case.connection.subflows]
        if row.mptcp:
            assert info.csum_enabled is (
                row.plan.checksum if row.checksum is None else row.checksum
            )
        else:
            assert info.fallback_reason
        await close((ours, theirs))
        known = tcp_counters()
        also = {name: known[name] for name in row.tcp_counted}
        assert also == row.tcp_counted, f"counted {also}"
        await counts(lab, row.counted, row.noise)

    in_lab(row.plan, scenario, seconds=10)


async def counts(lab: Lab, expected: Counted, noise: frozenset[str] = frozenset()) -> None:
    """Assert that the kernel's counters come to be these, and stay so."""

    def differing() -> dict[str, tuple[int, int]]:
        counted = lab.counted()
        names = sorted((counted.keys() | expected.keys()) - noise)
        both = {name: (counted.get(name, 0), expected.get(name, 0)) for name in names}
        return {name: pair for name, pair in both.items() if pair[0] != pair[1]}

    with suppress(TimeoutError):
        async with asyncio.timeout(1.5):
            await until(lambda: not differing())
        await asyncio.sleep(QUIET_SECONDS)
    assert not differing(), f"counted and expected: {differing()}"


def params(rows: dict[str, Row]) -> Iterable[Any]:
    """Return a table for `pytest.mark.parametrize`."""
    return [pytest.param(row, id=name) for name, row in rows.items()]


class Obedient(PathManager):
    """Joins every address the peer announces, from our address on the same network."""

    name: ClassVar[str] = "obedient"

    def on_address_advertised(
        self, view: View, address: IpAddress, address_id: int, port: int
    ) -> list[Action]:
        network = ip_network(f"{address}/{24 if address.version == 4 else 64}", strict=False)
        return [
            OpenSubflow(local, address, port or view.first.remote_port, address_id)
            for local in view.local
            if local in network and not any(path.remote == address for path in view.paths)
        ]


path_managers.add(Obedient.name, Obedient)

PASSIVE = {"path_manager": "default"}
"""We join and announce nothing unless a row has us do it."""

OBEDIENT = {"path_manager": Obedient.name}


def until_counted(name: str, count: int = 1) -> Act:
    """Wait until the kernel has counted something so often."""
    return lambda case: until(lambda: case.lab.counted().get(name, 0) >= count)
